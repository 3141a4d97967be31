package gateway

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// forward is the innermost step of the chain. It calls the upstream and forwards messages
// until that call has ended. down is the client's stream inside the chain. Responses are
// forwarded on this goroutine and requests on another one, so that neither direction waits
// for the other.
//
// If all requests have arrived, this goroutine forwards them before it waits for the response,
// which saves the other goroutine. If nothing looks at messages, the other goroutine starts when
// there is something to forward, so that an idle call does without it.
func (c *call) forward(_ any, down grpc.ServerStream) error {
	c.stream, _ = down.(chainStream)
	c.plain = c.stream != nil && c.stream.Plain() && c.decode == nil
	if own, err := c.answersHealth(down); own || err != nil {
		return err
	}
	if c.plain && c.gateway.client == nil && c.in.Complete() {
		return c.forwardComplete(down)
	}
	ctx, cancel := context.WithCancelCause(down.Context())
	defer cancel(nil)
	up, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer up.Close()
	pump := func() { c.gateway.pumps.Go(func() { c.pumpRequests(down, up, cancel) }) }
	if in, ok := c.in.(transport.Notifier); ok && c.plain && c.gateway.client == nil && c.held == nil {
		defer c.pumpLater(in, pump)()
	} else {
		pump()
	}
	if err := c.pumpResponses(down, up); err != nil {
		return err
	}
	return c.outcome(ctx, down, up)
}

// pumpLater calls pump when there is a request to forward, unless the function that it returns was called first.
func (c *call) pumpLater(in transport.Notifier, pump func()) (stop func()) {
	var begun atomic.Bool // or stopped
	begin := func() bool {
		first := begun.CompareAndSwap(false, true)
		if first {
			c.stream.Await(-1)
		}
		return first
	}
	c.stream.Await(1)
	in.OnRequest(func() {
		if begin() {
			pump()
		}
	})
	return func() { begin() }
}

// chainStream is the chain's stream, but not what an adapter of the chain puts around it.
type chainStream interface {
	// Plain reports whether no hook or adapter looks at messages. It is called before the first message.
	Plain() bool
	// Await counts receives that wait for a message, other than calls of RecvMsg.
	Await(n int32)
	// Forward sends messages, if none does.
	Forward(send func() (messages int, err error)) error
}

// forwardComplete forwards a call whose requests have arrived.
func (c *call) forwardComplete(down grpc.ServerStream) error {
	ctx := down.Context()
	up, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer up.Close()
	if err := c.moveRequests(down, up); err != nil {
		return err
	}
	if err := c.pumpResponses(down, up); err != nil {
		return err
	}
	return c.outcome(ctx, down, up)
}

// open starts the call to the upstream.
func (c *call) open(ctx context.Context) (transport.Outbound, error) {
	req := c.request
	if c.decode != nil {
		req.Raw.AcceptEncoding = decompressible(req.Raw.AcceptEncoding)
	}
	if req.Fields = c.fields(ctx); req.Fields == nil {
		req.Metadata = c.metadata(ctx)
	}
	if c.gateway.client != nil {
		return c.openChained(ctx, req)
	}
	up, err := c.gateway.upstream.Open(ctx, req)
	if err != nil {
		return nil, openError(ctx, err)
	}
	return up, nil
}

// fields returns the metadata for the upstream as the client encoded it, or nil if something may change it.
func (c *call) fields(ctx context.Context) []hpack.HeaderField {
	if c.gateway.client != nil || c.gateway.change != nil {
		return nil
	}
	if fields := c.in.Fields(ctx); fields != nil {
		fields = forwardedFields(fields, requestReserved)
		if c.gateway.address {
			fields = setAddressField(ctx, fields)
		}
		return fields
	}
	return nil
}

// metadata returns the metadata for the upstream.
func (c *call) metadata(ctx context.Context) metadata.MD {
	md, _ := metadata.FromIncomingContext(ctx) // a copy
	if md == nil {
		md = metadata.MD{}
	}
	if c.gateway.address {
		setAddress(ctx, md)
	}
	if change := c.gateway.change; change != nil {
		change(ctx, md)
	}
	return forwarded(md, requestReserved)
}

// outcome returns the upstream's status as an error, or the error that ended the call here.
func (c *call) outcome(ctx context.Context, down grpc.ServerStream, up transport.Outbound) error {
	end := up.Status()
	var failure *requestError
	if errors.As(context.Cause(ctx), &failure) && (failure.panicked || end.Code == codes.Canceled) {
		return failure.rethrow()
	}
	if c.raw.Trailer = up.Raw().Trailer; c.stream != nil && c.raw.Trailer != nil {
		c.raw.Trailer = forwardedFields(c.raw.Trailer, responseReserved)
		c.in.SetRaw(c.raw)
	} else {
		_, trailer := up.End()
		down.SetTrailer(forwarded(trailer, responseReserved))
	}
	if last := ofUpstream(up, &end); last != nil && ofMethod(last.Code) {
		c.learn()
	}
	c.ended.Store(&end) // a copy of Call.Detach may end after the call
	return errorOf(end)
}

// pumpResponses forwards the response header and messages to the client until the upstream
// has ended the call. It returns the error of the client's side.
func (c *call) pumpResponses(down grpc.ServerStream, up transport.Outbound) error {
	if err := c.sendHeader(down, up); err != nil {
		return err
	}
	if c.decode != nil {
		return c.pumpDecoded(down, up)
	}
	for {
		if err := c.pass(up); err != nil {
			return err
		}
		if errors.Is(up.Recv(&c.down), io.EOF) { // it has no other error
			return nil
		}
		c.learn()
		err := down.SendMsg(&c.down)
		c.down.Free()
		if errors.Is(err, transport.ErrSource) {
			continue // Recv fails likewise: the upstream has ended the call
		}
		if err != nil {
			return err
		}
	}
}

// pass forwards the messages that have arrived, if nothing looks at them.
func (c *call) pass(up transport.Outbound) error {
	if !c.plain {
		return nil
	}
	send := up.Pass(c.in)
	if send == nil {
		return nil
	}
	c.learn()
	return c.stream.Forward(send)
}

// sendHeader forwards the response header, unless the call has ended without one.
func (c *call) sendHeader(down grpc.ServerStream, up transport.Outbound) error {
	c.raw = up.Raw()
	if c.decode != nil {
		c.raw.AcceptEncoding = decompressible(c.raw.AcceptEncoding)
	}
	if c.stream != nil && c.raw.Header != nil {
		c.raw.Header = forwardedFields(c.raw.Header, responseReserved)
		c.in.SetRaw(c.raw)
		return down.SendHeader(nil)
	}
	header := up.Header()
	if header == nil {
		return nil
	}
	c.raw.Header = nil
	c.in.SetRaw(c.raw)
	return down.SendHeader(forwarded(header, responseReserved))
}

// pumpRequests forwards messages to the upstream until the client closes its side or the
// upstream has ended the call. It cancels the call with end if forwarding fails. It runs on
// a separate goroutine, which ends soon after the call.
func (c *call) pumpRequests(down grpc.ServerStream, up transport.Outbound, end context.CancelCauseFunc) {
	returned := false
	defer func() {
		if !returned {
			end(unwound(recover()))
		}
	}()
	err := c.moveRequests(down, up)
	returned = true
	if err != nil {
		end(&requestError{error: err})
	}
}

func (c *call) moveRequests(down grpc.ServerStream, up transport.Outbound) error {
	if c.decode != nil {
		return c.moveDecoded(down, up)
	}
	for {
		err := c.nextRequest(down)
		if errors.Is(err, io.EOF) {
			return up.CloseSend()
		}
		if err != nil {
			return err
		}
		err = up.Send(&c.up)
		c.up.Free()
		if errors.Is(err, io.EOF) {
			return nil // the call has ended: pumpResponses receives the status
		}
		if err != nil {
			return err
		}
	}
}

// requestError is the reason why requests could not be forwarded: the error of one of the
// streams, or a hook's panic, which is raised again on the chain's goroutine.
type requestError struct {
	error

	panicked bool
	value    any
}

// unwound returns the error for a value of recover. nil means runtime.Goexit.
func unwound(value any) *requestError {
	return &requestError{
		error:    status.Error(codes.Internal, "gateway: a hook ended its goroutine"),
		panicked: value != nil,
		value:    value,
	}
}

func (f *requestError) rethrow() error {
	if f.panicked {
		panic(f.value)
	}
	return f.error
}
