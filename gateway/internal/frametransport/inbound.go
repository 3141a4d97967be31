package frametransport

import (
	"context"
	"errors"
	"io"
	"time"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// inbound is one call of a client.
type inbound struct {
	response

	base     callContext // ctx without its deadline and end
	request  transport.Request
	fields   []hpack.HeaderField // of the request
	receiver receiver
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
	in := &inbound{response: response{stream: stream, met: met}}
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
	in.kind = in.request.Raw.ContentType
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
