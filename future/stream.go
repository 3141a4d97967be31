package future

import (
	"context"
	"errors"
	"io"
	"iter"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// StartStream makes a call of a method with a stream of requests and one response, such as
// client.Upload of a generated client, on two separate goroutines. One iterates over requests
// and sends them, the other waits for the response. StartStream panics if method or requests is
// nil.
//
//   - When the call has ended, the iteration stops at the next request. So the goroutine stays
//     while requests waits for something: requests should also wait for ctx.
//   - If requests yields an error, the call ends with this error. The server sees CANCELLED.
//   - If requests panics while the call runs, the call panics: see [Future].
func StartStream[Req, Resp any](
	ctx context.Context,
	method func(ctx context.Context, opts ...grpc.CallOption) (grpc.ClientStreamingClient[Req, Resp], error),
	requests iter.Seq2[*Req, error],
	opts ...grpc.CallOption,
) *Future[Resp] {
	if method == nil || requests == nil {
		panic("future: StartStream of a nil method, or of nil requests")
	}
	return start(ctx, opts, func(ctx context.Context, opts []grpc.CallOption) (*Resp, error) {
		return upload(ctx, method, requests, opts)
	})
}

// Requests returns the requests of a list, for [StartStream].
func Requests[Req any](list ...*Req) iter.Seq2[*Req, error] {
	return func(yield func(*Req, error) bool) {
		for _, req := range list {
			if !yield(req, nil) {
				return
			}
		}
	}
}

func upload[Req, Resp any](
	ctx context.Context,
	method func(ctx context.Context, opts ...grpc.CallOption) (grpc.ClientStreamingClient[Req, Resp], error),
	requests iter.Seq2[*Req, error],
	opts []grpc.CallOption,
) (*Resp, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stream, err := method(ctx, opts...)
	if err != nil {
		return nil, err
	}
	go sendAll(ctx, cancel, stream, requests)
	resp := new(Resp)
	err = stream.RecvMsg(resp)
	cancel(nil)
	if sending, ok := errors.AsType[*sendError](context.Cause(ctx)); ok {
		return nil, sending.outcome()
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// sendAll sends all requests. An error or a panic cancels the call. If the call has already
// ended, no goroutine receives a panic, so sendAll panics again.
func sendAll[Req, Resp any](
	ctx context.Context, cancel context.CancelCauseFunc,
	stream grpc.ClientStreamingClient[Req, Resp], requests iter.Seq2[*Req, error],
) {
	sent := &sendError{err: errRequestsGoexit}
	defer func() {
		sent.panicked = recover()
		if sent.err == nil && sent.panicked == nil {
			return
		}
		cancel(sent)
		if sent.panicked != nil && !errors.Is(context.Cause(ctx), sent) {
			panic(sent.panicked)
		}
	}()
	sent.err = send(stream, requests)
}

func send[Req, Resp any](stream grpc.ClientStreamingClient[Req, Resp], requests iter.Seq2[*Req, error]) error {
	for req, err := range requests {
		if err == nil {
			err = stream.Send(req)
		}
		if err == io.EOF {
			return nil // the call has ended, and RecvMsg returns its status
		}
		if err != nil {
			return err
		}
	}
	return stream.CloseSend()
}

var errRequestsGoexit = status.Error(codes.Internal, "future: the requests' goroutine was ended by runtime.Goexit")

// sendError is the reason why not all requests of a call were sent.
type sendError struct {
	err      error
	panicked any
}

// Error returns the text of the error.
func (e *sendError) Error() string { return e.err.Error() }

// outcome returns the error of the call, or panics if requests did.
func (e *sendError) outcome() error {
	if e.panicked != nil {
		panic(e.panicked)
	}
	return e.err
}
