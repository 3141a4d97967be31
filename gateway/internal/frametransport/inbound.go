package frametransport

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// inbound is one call of a client.
type inbound struct {
	stream   *h2.Stream
	ctx      context.Context //nolint:containedctx // Context returns it
	base     callContext     // ctx without its deadline and end
	request  transport.Request
	fields   []hpack.HeaderField // of the request
	receiver receiver
	met      func(error) // counts the limit of an error, if it is one

	mu      sync.Mutex    // guards the following
	cut     *limits.Error // why the call was cancelled, if a limit is the reason
	raw     transport.RawResponse
	header  metadata.MD
	trailer metadata.MD
	sent    bool // the header

	within bool // a message is not sent completely; of the goroutine that sends
}

// callStream is what grpc.SetHeader and similar functions use.
type callStream struct{ *inbound }

var _ grpc.ServerTransportStream = callStream{}

func (c callStream) Method() string { return c.request.Method }

func (c callStream) SetTrailer(md metadata.MD) error {
	c.inbound.SetTrailer(md)
	return nil
}

// serveCall runs the handler for one call.
func (s *Server) serveCall(ctx context.Context, stream *h2.Stream, met func(error)) {
	in := &inbound{stream: stream, met: met}
	timeout, bad := in.parse()
	if bad != nil {
		met(bad.limit())
		bad.write(stream)
		stream.Close()
		return
	}
	var cancel context.CancelFunc
	in.base = callContext{Context: ctx, keys: &s.keys, in: in, md: in.request.Metadata}
	in.request.Metadata = nil
	in.ctx, cancel = in.context(timeout)
	defer cancel()
	stream.OnEnd(func(err error) {
		in.cutBy(err)
		cancel()
	})
	in.receiver = receiver{
		ctx: in.ctx, stream: stream, limit: s.config.MessageSize, time: s.config.MessageTime, met: met,
	}
	st := transport.Status{Code: codes.Internal, Message: "gateway: the handler ended its goroutine"}
	defer func() { in.finish(st) }()
	if timeout <= 0 {
		st = statusOfContext(context.DeadlineExceeded)
		return
	}
	st = s.handle(in)
}

// cutBy keeps the reason of a call's end if it is a limit.
func (in *inbound) cutBy(err error) {
	if reason, ok := errors.AsType[*limits.Error](err); ok {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.cut = reason
	}
}

// noTimeout is the time of a call without a deadline.
const noTimeout = time.Duration(1<<63 - 1)

func (in *inbound) context(timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout == noTimeout {
		return context.WithCancel(&in.base)
	}
	return context.WithTimeout(&in.base, timeout-transport.Margin(timeout))
}

func (in *inbound) Context() context.Context   { return in.ctx }
func (in *inbound) Request() transport.Request { return in.request }
func (in *inbound) Metadata() metadata.MD      { return in.base.md }

// Complete is [transport.Inbound.Complete].
func (in *inbound) Complete() bool { return in.stream.Complete(wholeSize) }

// OnRequest is [transport.Notifier.OnRequest].
func (in *inbound) OnRequest(start func()) { in.stream.OnReady(start) }

func (in *inbound) Recv(msg *transport.Message) error {
	err := in.receiver.next(msg)
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return in.failed(err)
}

// failed returns the status for an error of the stream.
func (in *inbound) failed(err error) error {
	if in.ctx.Err() != nil {
		return status.FromContextError(in.ctx.Err()).Err()
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

func (in *inbound) SetHeader(md metadata.MD) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.sent {
		return errHeaderSent
	}
	in.header = join(in.header, md)
	return nil
}

// join is metadata.Join without a copy if there is nothing to add.
func join(to, md metadata.MD) metadata.MD {
	if len(md) == 0 {
		return to
	}
	return metadata.Join(to, md)
}

func (in *inbound) SendHeader(md metadata.MD) error {
	if err := in.SetHeader(md); err != nil {
		return err
	}
	return in.sendHeader()
}

func (in *inbound) SetTrailer(md metadata.MD) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.trailer = join(in.trailer, md)
}

func (in *inbound) SetRaw(header transport.RawResponse) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.raw = header
}

// sendHeader sends the header unless it was sent.
func (in *inbound) sendHeader() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.sent {
		return nil
	}
	fields := in.headerFields()
	if in.raw.Encoding != "" {
		fields = append(fields, hpack.HeaderField{Name: keyEncoding, Value: in.raw.Encoding})
	}
	if in.raw.AcceptEncoding != "" {
		fields = append(fields, hpack.HeaderField{Name: keyAcceptEncoding, Value: in.raw.AcceptEncoding})
	}
	in.sent = true
	fields = append(fields, in.raw.Header...)
	if err := in.stream.WriteHeader(appendMetadata(fields, in.header), false); err != nil {
		if errors.Is(err, h2.ErrHeaderTooLarge) {
			in.sent = false
			in.header, in.raw.Header = nil, nil
			tooLarge := &limits.Error{
				Limit: limits.ClientHeader, Code: codes.ResourceExhausted,
				Message: "gateway: the response header is larger than the client accepts",
			}
			in.met(tooLarge)
			return tooLarge
		}
		return in.failed(err)
	}
	return nil
}

// headerFields returns the fields that every response begins with.
func (in *inbound) headerFields() []hpack.HeaderField {
	kind := in.raw.ContentType
	if kind == "" {
		kind = in.request.Raw.ContentType
	}
	return append(make([]hpack.HeaderField, 0,
		8+len(in.raw.Header)+len(in.header)+len(in.raw.Trailer)+len(in.trailer)),
		hpack.HeaderField{Name: ":status", Value: "200"},
		hpack.HeaderField{Name: keyContentType, Value: kind},
	)
}

func (in *inbound) Send(msg *transport.Message) error {
	if in.ctx.Err() != nil {
		return status.FromContextError(in.ctx.Err()).Err()
	}
	if err := in.sendHeader(); err != nil {
		return err
	}
	in.within = true
	err := send(in.ctx, in.stream, msg)
	in.within = err != nil
	if err == nil || errors.Is(err, transport.ErrSource) {
		return err
	}
	return in.failed(err)
}

// sendFramed sends whole messages with their prefixes.
func (in *inbound) sendFramed(framed [][]byte) error {
	if in.ctx.Err() != nil {
		return status.FromContextError(in.ctx.Err()).Err()
	}
	if err := in.sendHeader(); err != nil {
		return err
	}
	in.within = true
	if err := in.stream.Write(in.ctx, framed...); err != nil {
		return in.failed(err)
	}
	in.within = false
	return nil
}

// abort ends a response within a message. A trailer would not help, as clients report that
// the message is incomplete. After the deadline the client's own timer is about to fire,
// which gives it the right status.
func (in *inbound) abort(st transport.Status) {
	if st.Code == codes.DeadlineExceeded && errors.Is(in.ctx.Err(), context.DeadlineExceeded) {
		time.AfterFunc(2*transport.MaxMargin, in.stream.Close)
		return
	}
	defer in.stream.Close()
	switch st.Code {
	case codes.Canceled, codes.DeadlineExceeded:
		in.stream.Reset(http2.ErrCodeCancel)
	case codes.ResourceExhausted:
		in.stream.Reset(http2.ErrCodeEnhanceYourCalm)
	default:
		in.stream.Reset(http2.ErrCodeInternal)
	}
}

// finish sends the status and releases the stream.
func (in *inbound) finish(st transport.Status) {
	in.mu.Lock()
	if in.cut != nil {
		st = transport.Status{Code: in.cut.Code, Message: in.cut.Message}
	}
	in.mu.Unlock()
	if in.within {
		in.abort(st)
		return
	}
	defer in.stream.Close()
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.sent && len(in.header)+len(in.raw.Header) > 0 {
		in.mu.Unlock()
		_ = in.sendHeader()
		in.mu.Lock()
	}
	var fields []hpack.HeaderField
	if !in.sent {
		fields = in.headerFields() // a response of trailers only
	}
	base := len(fields)
	fields = appendStatus(fields, st)
	fields = append(fields, in.raw.Trailer...)
	fields = appendMetadata(fields, in.trailer)
	if err := in.stream.WriteHeader(fields, true); errors.Is(err, h2.ErrHeaderTooLarge) {
		short := transport.Status{Code: st.Code, Message: shortened(st.Message)}
		if st.Code == codes.OK {
			short.Message = ""
		}
		_ = in.stream.WriteHeader(appendStatus(fields[:base:base], short), true)
		in.met(&limits.Error{Limit: limits.ClientHeader})
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
