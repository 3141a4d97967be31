package gateway

import (
	"context"
	"errors"
	"io"

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
func (c *call) forward(_ any, down grpc.ServerStream) error {
	ctx, cancel := context.WithCancelCause(down.Context())
	defer cancel(nil)

	req := c.request
	md, _ := metadata.FromIncomingContext(ctx) // a copy
	req.Metadata = forwarded(md, requestReserved)
	up, err := c.gateway.upstream.Open(ctx, req)
	if err != nil {
		return openError(ctx, err)
	}
	defer up.Close()
	c.gateway.pumps.Go(func() { c.pumpRequests(down, up, cancel) })
	if err := c.pumpResponses(down, up); err != nil {
		return err
	}
	return c.outcome(ctx, down, up)
}

// outcome returns the upstream's status as an error, or the error that ended the call here.
func (c *call) outcome(ctx context.Context, down grpc.ServerStream, up transport.Outbound) error {
	end, trailer := up.End()
	var failure *requestError
	if errors.As(context.Cause(ctx), &failure) && (failure.panicked || end.Code == codes.Canceled) {
		return failure.rethrow()
	}
	down.SetTrailer(forwarded(trailer, responseReserved))
	if end.Code == codes.OK {
		c.learn()
	}
	c.ended = &end
	return errorOf(end)
}

// pumpResponses forwards the response header and messages to the client until the upstream
// has ended the call. It returns the error of the client's side.
func (c *call) pumpResponses(down grpc.ServerStream, up transport.Outbound) error {
	if header := up.Header(); header != nil {
		c.in.SetRaw(up.Raw())
		if err := down.SendHeader(forwarded(header, responseReserved)); err != nil {
			return err
		}
	}
	for up.Recv(&c.down) == nil {
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
	return nil
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
	for {
		err := down.RecvMsg(&c.up)
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
