package frametransport

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// response is the response to a client.
type response struct {
	stream *h2.Stream
	ctx    context.Context //nolint:containedctx // that of the call
	kind   string          // the content type of the request
	met    func(error)     // counts the limit of an error, if it is one

	mu      sync.Mutex    // guards the following
	cut     *limits.Error // why the call was cancelled, if a limit is the reason
	raw     transport.RawResponse
	header  metadata.MD
	trailer metadata.MD
	sent    bool // the header

	within bool // a message is not sent completely; of the goroutine that sends
}

// cutBy keeps the reason of a call's end if it is a limit.
func (r *response) cutBy(err error) {
	if reason, ok := errors.AsType[*limits.Error](err); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.cut = reason
	}
}

// failed returns the status for an error of the stream.
func (r *response) failed(err error) error {
	if r.ctx.Err() != nil {
		return status.FromContextError(r.ctx.Err()).Err()
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	if reset, ok := errors.AsType[h2.ResetError](err); ok && !reset.Remote {
		return status.Errorf(codes.Internal, "gateway: the client broke the protocol: %v", err)
	}
	return status.FromContextError(context.Canceled).Err() // the client is gone
}

// errHeaderSent is the error of a header after the first message.
var errHeaderSent = status.Error(codes.Internal, "gateway: the header was already sent")

func (r *response) SetHeader(md metadata.MD) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sent {
		return errHeaderSent
	}
	r.header = join(r.header, md)
	return nil
}

// join is metadata.Join without a copy if there is nothing to add.
func join(to, md metadata.MD) metadata.MD {
	if len(md) == 0 {
		return to
	}
	return metadata.Join(to, md)
}

func (r *response) SendHeader(md metadata.MD) error {
	if err := r.SetHeader(md); err != nil {
		return err
	}
	return r.sendHeader()
}

func (r *response) SetTrailer(md metadata.MD) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trailer = join(r.trailer, md)
}

func (r *response) SetRaw(header transport.RawResponse) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.raw = header
}

func (r *response) Encoding() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.raw.Encoding
}

// sendHeader sends the header unless it was sent.
func (r *response) sendHeader() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sent {
		return nil
	}
	var scratch [16]hpack.HeaderField // to save an allocation
	fields := r.headerFields(scratch[:0])
	if r.raw.Encoding != "" {
		fields = append(fields, hpack.HeaderField{Name: keyEncoding, Value: r.raw.Encoding})
	}
	if r.raw.AcceptEncoding != "" {
		fields = append(fields, hpack.HeaderField{Name: keyAcceptEncoding, Value: r.raw.AcceptEncoding})
	}
	r.sent = true
	fields = append(fields, r.raw.Header...)
	if err := r.stream.WriteHeader(appendMetadata(fields, r.header), false); err != nil {
		if errors.Is(err, h2.ErrHeaderTooLarge) {
			r.sent = false
			r.header, r.raw.Header = nil, nil
			tooLarge := &limits.Error{
				Limit: limits.ClientHeader, Code: codes.ResourceExhausted,
				Message: "gateway: the response header is larger than the client accepts",
			}
			r.met(tooLarge)
			return tooLarge
		}
		return r.failed(err)
	}
	return nil
}

// headerFields adds the fields that every response begins with.
func (r *response) headerFields(fields []hpack.HeaderField) []hpack.HeaderField {
	kind := r.raw.ContentType
	if kind == "" {
		kind = r.kind
	}
	return append(fields,
		hpack.HeaderField{Name: ":status", Value: "200"},
		hpack.HeaderField{Name: keyContentType, Value: kind},
	)
}

// abort ends a response within a message. A trailer would not help, as clients report that
// the message is incomplete. After the deadline the client's own timer is about to fire,
// which gives it the right status.
func (r *response) abort(st transport.Status) {
	if st.Code == codes.DeadlineExceeded && errors.Is(r.ctx.Err(), context.DeadlineExceeded) {
		time.AfterFunc(2*transport.MaxMargin, r.stream.Close)
		return
	}
	defer r.stream.Close()
	switch st.Code {
	case codes.Canceled, codes.DeadlineExceeded:
		r.stream.Reset(http2.ErrCodeCancel)
	case codes.ResourceExhausted:
		r.stream.Reset(http2.ErrCodeEnhanceYourCalm)
	default:
		r.stream.Reset(http2.ErrCodeInternal)
	}
}

// finish sends the status and releases the stream.
func (r *response) finish(st transport.Status) {
	r.mu.Lock()
	if r.cut != nil {
		st = transport.Status{Code: r.cut.Code, Message: r.cut.Message}
	}
	r.mu.Unlock()
	if r.within {
		r.abort(st)
		return
	}
	defer r.stream.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.sent && len(r.header)+len(r.raw.Header) > 0 {
		r.mu.Unlock()
		_ = r.sendHeader()
		r.mu.Lock()
	}
	var scratch [16]hpack.HeaderField // to save an allocation
	fields := scratch[:0]
	if !r.sent {
		fields = r.headerFields(fields) // a response of trailers only
	}
	base := len(fields)
	fields = appendStatus(fields, st)
	fields = append(fields, r.raw.Trailer...)
	fields = appendMetadata(fields, r.trailer)
	if err := r.stream.WriteHeader(fields, true); errors.Is(err, h2.ErrHeaderTooLarge) {
		short := transport.Status{Code: st.Code, Message: shortened(st.Message)}
		if st.Code == codes.OK {
			short.Message = ""
		}
		_ = r.stream.WriteHeader(appendStatus(fields[:base:base], short), true)
		r.met(&limits.Error{Limit: limits.ClientHeader})
	}
}

// shortened returns the beginning of a message that does not fit.
func shortened(message string) string {
	const most = 256
	if len(message) <= most {
		return message
	}
	return strings.ToValidUTF8(message[:most], "") + "… (shortened by the gateway)"
}
