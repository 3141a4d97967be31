package main

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// promScenario is a call that is made through both.
type promScenario struct {
	name   string
	handle func(ctx context.Context, s hauberktest.Stream) error // nil echoes
	// rejectedOn is the side on which an inner interceptor rejects the call, if any.
	rejectedOn string
	// method replaces the method of the kind.
	method string
	// call makes the call; the default is promCallToEnd.
	call  func(ctx context.Context, c promCaller) error
	kinds []hauberk.Kind // nil for all
}

var everyKind = []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}

func endingWith(err error) func(context.Context, hauberktest.Stream) error {
	return func(_ context.Context, s hauberktest.Stream) error { return errors.Join(readAllOf(s), err) }
}

func readAllOf(s hauberktest.Stream) error {
	for {
		if _, err := s.Recv(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// untilDone returns a handler that waits until its context is done and then returns an
// error.
func untilDone(with error) func(context.Context, hauberktest.Stream) error {
	return func(ctx context.Context, s hauberktest.Stream) error {
		if err := readAllOf(s); err != nil {
			return err
		}
		close(ctx.Value(enteredKey{}).(chan struct{}))
		<-ctx.Done()
		return with
	}
}

// enteredKey is the context key of a channel that a handler closes once it has read all.
type enteredKey struct{}

var promScenarios = []promScenario{
	{name: "OK"},
	{name: "status", handle: endingWith(status.Error(codes.NotFound, "no"))},
	{name: "error without a status", handle: endingWith(errors.New("plain"))},
	{name: "context error", handle: endingWith(context.DeadlineExceeded)},
	{name: "code that gRPC does not define", handle: endingWith(status.Error(99, "no"))},
	{name: "error after a response", handle: func(_ context.Context, s hauberktest.Stream) error {
		return errors.Join(readAllOf(s), s.Send(&testpb.Response{}), status.Error(codes.DataLoss, "mid"))
	}},
	{name: "answered early", handle: func(context.Context, hauberktest.Stream) error {
		return status.Error(codes.FailedPrecondition, "early")
	}, kinds: []hauberk.Kind{hauberk.Unary, hauberk.ServerStream}},
	{name: "cancelled", handle: untilDone(status.Error(codes.Canceled, "cancelled")), call: promCancelled},
	{name: "deadline", handle: untilDone(status.Error(codes.DeadlineExceeded, "late")), call: promLate},
	{
		name: "abandoned", handle: untilDone(status.Error(codes.Canceled, "cancelled")), call: promAbandoned,
		kinds: []hauberk.Kind{hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi},
	},
	{name: "read on after the end", call: promReadOn, kinds: []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi}},
	{name: "rejected on the server", rejectedOn: "server"},
	{name: "rejected on the client", rejectedOn: "client"},
	{name: "connection closed", call: disconnected},
	// The client sends nothing, since the server may have answered before.
	{
		name: "unknown method", method: "/shop.v1.Cart/Get", call: withoutSending,
		kinds: []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.Bidi},
	},
	{name: "request that cannot be decoded", call: promGarbled},
}

// promCaller makes calls of one kind.
type promCaller struct {
	conn   grpc.ClientConnInterface
	kind   hauberk.Kind
	method string
	// entered is closed once a handler that waits has read all.
	entered chan struct{}
	// sent is closed once all requests have been sent.
	sent chan struct{}
}

var twoRequests = []*testpb.Request{{Text: "a"}, {Text: "b"}}

// start opens a stream and sends on it.
func (c promCaller) start(ctx context.Context, requests []*testpb.Request) (grpc.ClientStream, error) {
	desc := &grpc.StreamDesc{ClientStreams: c.kind.ClientStreams(), ServerStreams: c.kind.ServerStreams()}
	stream, err := c.conn.NewStream(ctx, desc, c.method)
	if err != nil {
		return nil, err
	}
	if !c.kind.ClientStreams() {
		requests = requests[:1]
	}
	defer close(c.sent)
	for _, r := range requests {
		if err := stream.SendMsg(r); err != nil {
			return stream, err
		}
	}
	return stream, stream.CloseSend()
}

// receive reads a stream as generated code does, to its end.
func (c promCaller) receive(stream grpc.ClientStream) error {
	for {
		err := stream.RecvMsg(new(testpb.Response))
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil || !c.kind.ServerStreams() {
			return err
		}
	}
}

func promCallToEnd(ctx context.Context, c promCaller) error {
	return promCall(ctx, c, twoRequests)
}

// withoutSending calls without a message, except for the message of a unary call.
func withoutSending(ctx context.Context, c promCaller) error { return promCall(ctx, c, nil) }

func promCall(ctx context.Context, c promCaller, requests []*testpb.Request) error {
	if c.kind == hauberk.Unary {
		close(c.sent)
		return c.conn.Invoke(ctx, c.method, twoRequests[0], new(testpb.Response))
	}
	stream, err := c.start(ctx, requests)
	if err != nil {
		return err
	}
	return c.receive(stream)
}

// promCancelled calls, and cancels once the handler waits.
func promCancelled(ctx context.Context, c promCaller) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		<-c.entered
		cancel()
	}()
	return promCallToEnd(ctx, c)
}

// promLate calls with a deadline that passes once the handler waits.
func promLate(ctx context.Context, c promCaller) error {
	return promCallToEnd(promLateContext{ctx, c.entered}, c)
}

type promLateContext struct {
	context.Context

	done chan struct{}
}

func (c promLateContext) Done() <-chan struct{} { return c.done }

func (c promLateContext) Err() error {
	select {
	case <-c.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// promAbandoned opens a stream, does not use it, and ends its context.
func promAbandoned(ctx context.Context, c promCaller) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_, err := c.start(ctx, twoRequests)
	<-c.entered
	return err
}

// disconnected calls when the connection has been closed.
func disconnected(ctx context.Context, c promCaller) error {
	return errors.Join(c.conn.(*grpc.ClientConn).Close(), promCallToEnd(ctx, c))
}

// promReadOn receives twice after the end.
func promReadOn(ctx context.Context, c promCaller) error {
	stream, err := c.start(ctx, twoRequests)
	if err != nil {
		return err
	}
	return errors.Join(c.receive(stream), c.receive(stream), c.receive(stream))
}

// promGarbled sends bytes that are no protobuf message.
func promGarbled(ctx context.Context, c promCaller) error {
	c.conn = promGarbling{c.conn}
	return promCall(ctx, c, twoRequests[:1])
}

// promGarbling encodes every request to the same bytes.
type promGarbling struct{ grpc.ClientConnInterface }

func (g promGarbling) Invoke(ctx context.Context, method string, req, resp any, opts ...grpc.CallOption) error {
	return g.ClientConnInterface.Invoke(ctx, method, req, resp, append(opts, grpc.ForceCodec(promGarbledCodec{}))...)
}

func (g promGarbling) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return g.ClientConnInterface.NewStream(ctx, desc, method, append(opts, grpc.ForceCodec(promGarbledCodec{}))...)
}

type promGarbledCodec struct{}

func (promGarbledCodec) Marshal(any) ([]byte, error) { return []byte{0xff, 0xff}, nil }
func (promGarbledCodec) Unmarshal([]byte, any) error { return nil }
func (promGarbledCodec) Name() string                { return "proto" }
