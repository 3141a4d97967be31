package frametransport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// outbound is one call to the upstream. Header, Raw, Recv and End run on one goroutine.
type outbound struct {
	receiver receiver // of the goroutine that receives, as all that follows it

	sending
	answer

	begun bool // the header was received
}

func (o *outbound) source() source { return source{o.ctx, o.upstream, o.receiver.stream, o.at} }

// fail ends the call with the status of an error.
func (o *outbound) fail(err error) {
	o.answer.fail(o.source(), err)
	o.Close()
}

func (o *outbound) Header() metadata.MD {
	o.begin()
	if o.raw.Header == nil {
		return nil
	}
	md := make(metadata.MD, len(o.raw.Header)+1)
	if o.raw.ContentType != "" {
		md[keyContentType] = []string{o.raw.ContentType}
	}
	for _, f := range o.raw.Header {
		_ = addMetadata(md, f) // parseHeader has checked it
	}
	return md
}

func (o *outbound) Raw() transport.RawResponse {
	o.begin()
	return o.raw
}

// begin receives the response header.
func (o *outbound) begin() {
	if o.begun {
		return
	}
	o.begun = true
	stream, fields, err := o.awaitFirst()
	o.receiver.stream = stream
	if err != nil {
		o.fail(err)
		return
	}
	o.receiveHeader(o.source(), fields)
	if o.over {
		o.Close()
	}
}

// awaitFirst waits for the response header, for as long as it may take.
func (o *outbound) awaitFirst() (*h2.Stream, []hpack.HeaderField, error) {
	limit := o.upstream.config.FirstByte
	if limit <= 0 {
		return o.awaitHeader(o.ctx)
	}
	ctx, cancel := context.WithTimeoutCause(o.ctx, limit, &limits.Error{
		Limit: limits.FirstByte, Code: codes.Unavailable,
		Message: fmt.Sprintf("gateway: the upstream has not begun to answer within %v", limit),
	})
	defer cancel()
	stream, fields, err := o.awaitHeader(ctx)
	if slow, ok := errors.AsType[*limits.Error](context.Cause(ctx)); ok && err != nil && o.ctx.Err() == nil {
		err = slow
	}
	return stream, fields, err
}

func (o *outbound) Recv(msg *transport.Message) error {
	o.begin()
	if o.over {
		return io.EOF
	}
	err := o.receiver.next(msg)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, io.EOF):
		o.fail(err)
	default:
		o.receiveTrailer(o.source())
		o.Close()
	}
	return io.EOF
}

// Pass is [transport.Outbound.Pass].
func (o *outbound) Pass(to transport.Inbound) (pass func() (int, error)) {
	in, ok := to.(*inbound)
	if !ok || !o.begun || o.over {
		return nil
	}
	framed, messages := o.receiver.take()
	if messages == 0 {
		return nil
	}
	return func() (int, error) {
		if err := in.sendFramed(framed); err != nil {
			return 0, err
		}
		for _, piece := range framed {
			o.receiver.Passed(len(piece))
		}
		return messages, nil
	}
}

func (o *outbound) End() (transport.Status, metadata.MD) {
	md := make(metadata.MD, len(o.raw.Trailer))
	for _, f := range o.raw.Trailer {
		_ = addMetadata(md, f) // statusOf has checked it
	}
	if len(o.end.Details) > 0 {
		md[keyDetails] = slices.Clone(o.end.Details)
	}
	return o.end, md
}

// Status is [transport.Outbound.Status].
func (o *outbound) Status() transport.Status { return o.end }
