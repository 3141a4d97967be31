package main

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// scenario is a call and how it ends.
type scenario struct {
	name    string
	handle  func(ctx context.Context, s hauberktest.Stream) error // nil to echo
	method  string                                                // "" for the method of the kind
	server  []hauberk.Interceptor
	client  []hauberk.Interceptor
	before  func(ctx context.Context) context.Context // returns the context of the call
	over    chan struct{}                             // closed when the client's call is over
	away    bool                                      // there is no server
	late    bool                                      // the client sends once the server has ended the call
	code    codes.Code
	retried bool
}

func scenarios(kind hauberk.Kind) []scenario {
	all := []scenario{
		{name: "OK"},
		{name: "unknown method", method: "/no.Such/Method", code: codes.Unimplemented},
		{name: "plain error", code: codes.Unknown, handle: failWith(errors.New("dial 10.0.0.7: rejected"))},
		{name: "undefined code", code: 99, handle: failWith(status.Error(99, "what?"))},
		{name: "rejected by the server", code: codes.ResourceExhausted, server: []hauberk.Interceptor{reject()}},
		{name: "rejected by the client", code: codes.ResourceExhausted, client: []hauberk.Interceptor{reject()}},
		{name: "no server", code: codes.Unavailable, away: true},
		{name: "stale state", before: withState},
		ending("cancelled", codes.Canceled, context.Canceled),
		ending("deadline", codes.DeadlineExceeded, context.DeadlineExceeded),
		retriedScenario(),
	}
	if kind.ClientStreams() {
		all = append(all, lateScenario())
	}
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		all = append(all, scenario{name: code.String(), code: code, handle: failWith(status.Error(code, "no such cart"))})
	}
	return all
}

// retriedScenario is a call whose first attempt fails.
func retriedScenario() scenario {
	first := make(chan struct{}, 1)
	first <- struct{}{}
	again := retry.New(retry.Config{AllMethods: true, MaxReplayBytes: 1 << 10},
		retry.WithSleep(func(context.Context, time.Duration) error { return nil }))
	return scenario{
		name: "retried", client: []hauberk.Interceptor{again}, retried: true,
		handle: func(ctx context.Context, s hauberktest.Stream) error {
			select {
			case <-first:
				_, _ = s.Recv() // no late send
				return status.Error(codes.Unavailable, "starting up")
			default:
				return hauberktest.Echo(ctx, s)
			}
		},
	}
}

// lateScenario is a stream that the server ends before the client sends.
func lateScenario() scenario {
	return scenario{
		name: "late send", code: codes.FailedPrecondition, late: true,
		handle: func(ctx context.Context, s hauberktest.Stream) error {
			if s.Method() == testpb.TestService_Unary_FullMethodName {
				return hauberktest.Echo(ctx, s)
			}
			return status.Error(codes.FailedPrecondition, "not now")
		},
	}
}

// trailers is a stats handler of a server that reports when a call has been answered.
type trailers chan struct{}

func (trailers) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (trailers) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (trailers) HandleConn(context.Context, stats.ConnStats)                       {}

func (ch trailers) HandleRPC(_ context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.OutTrailer); ok {
		ch <- struct{}{}
	}
}

func failWith(err error) func(context.Context, hauberktest.Stream) error {
	return func(context.Context, hauberktest.Stream) error { return err }
}

func reject() hauberk.Interceptor {
	return hauberk.Named("gate", hauberk.Func(func(ctx context.Context, call *hauberk.Call, _ hauberk.Next) error {
		if !call.Kind().ClientStreams() {
			_, _ = call.Read(ctx) // no late send
		}
		return hauberk.Reject(codes.ResourceExhausted, "GATE_SHUT", "the gate is shut")
	}))
}

// ending is a call whose context ends once its handler runs.
func ending(name string, code codes.Code, end error) scenario {
	entered, over := make(chan struct{}), make(chan struct{})
	return scenario{
		name: name, code: code, over: over,
		handle: func(ctx context.Context, _ hauberktest.Stream) error {
			close(entered)
			<-over
			<-ctx.Done()
			return end
		},
		before: func(ctx context.Context) context.Context { return &endingContext{ctx, entered, end} },
	}
}

// endingContext is a context that ends when done is closed.
type endingContext struct {
	context.Context

	done chan struct{}
	end  error
}

func (c *endingContext) Done() <-chan struct{} { return c.done }

func (c *endingContext) Err() error {
	select {
	case <-c.done:
		return c.end
	default:
		return nil
	}
}

func withState(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "tracestate", "stale=1")
}

// awaitEnd returns when a client has received the end of a call. It makes another call on
// the same connection once the server has sent that end, so that its answer comes later.
func awaitEnd(ctx context.Context, conn grpc.ClientConnInterface, answered trailers) {
	<-answered
	_ = conn.Invoke(ctx, testpb.TestService_Unary_FullMethodName, &testpb.Request{}, &testpb.Response{})
}
