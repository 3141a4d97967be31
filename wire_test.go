package hauberk_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// measured is what an interceptor read of a call's sizes.
type measured struct{ sent, received hauberk.WireBytes }

// measuring gives a test the final sizes of each call.
func measuring(seen chan<- measured) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		w := call.Wire()
		w.WhenFinal(func() { seen <- measured{w.Sent(), w.Received()} })
		return err
	})
}

// observer is a stats.Handler that adds up what grpc-go reports about all calls.
type observer struct {
	measured

	ended chan struct{}
}

func (*observer) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*observer) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*observer) HandleConn(context.Context, stats.ConnStats)                       {}

func (o *observer) HandleRPC(_ context.Context, event stats.RPCStats) {
	add := func(to *hauberk.WireBytes, bytes, compressed int) {
		to.Messages++
		to.Bytes += int64(bytes)
		to.Compressed += int64(compressed)
	}
	switch event := event.(type) {
	case *stats.InPayload:
		add(&o.received, event.Length, event.CompressedLength)
	case *stats.OutPayload:
		add(&o.sent, event.Length, event.CompressedLength)
	case *stats.End:
		close(o.ended)
	}
}

// TestWireSizes compares the sizes of compressed calls, of good and of rejected
// ones, with what grpc-go reports to another handler.
func TestWireSizes(t *testing.T) {
	long := strings.Repeat("long ", 1000)
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		for name, inner := range map[string]hauberk.Interceptor{"good": hauberk.Func(idle), "failed": failingAfter{errDown}} {
			seen, beside := make(chan measured, 1), &observer{ended: make(chan struct{})}
			chain := hauberk.Must(hauberk.Config{CountBytes: true}.New(measuring(seen), inner))
			setup := hauberktest.Setup{Kind: c.Kind}
			if c.Side == hauberk.ServerSide {
				setup.Server = chain
				setup.ServerOptions = []grpc.ServerOption{grpc.StatsHandler(beside)}
			} else {
				setup.Client = chain
				setup.DialOptions = []grpc.DialOption{grpc.WithStatsHandler(beside)}
			}
			env := hauberktest.Start(t, setup)
			out := env.Do(t.Context(), hauberktest.FullMethod(c.Kind),
				[]*testpb.Request{{Text: long}, {Text: long}}[:texts(c.Kind)], grpc.UseCompressor(gzip.Name))
			got := <-seen
			<-beside.ended
			if got != beside.measured {
				t.Errorf("%s call:\n got %+v\nwant %+v", name, got, beside.measured)
			}
			if name == "good" {
				wantCode(t, out.Err, codes.OK)
				checkSizes(t, c, got, out)
			}
		}
	})
}

func texts(k hauberk.Kind) int {
	if k.ClientStreams() {
		return 2
	}
	return 1
}

// checkSizes compares the sizes of a good call with its messages.
func checkSizes(t *testing.T, c hauberktest.Case, got measured, out hauberktest.Outcome) {
	t.Helper()
	responses := got.sent
	if c.Side == hauberk.ClientSide {
		responses = got.received
	}
	var want int64
	for _, r := range out.Responses {
		want += int64(proto.Size(r))
	}
	if responses.Messages != int64(len(out.Responses)) || responses.Bytes != want ||
		responses.Compressed <= 0 || responses.Compressed >= want {
		t.Errorf("sizes of the responses: %+v; want %d messages of %d bytes, compressed", responses, len(out.Responses), want)
	}
}

// failingAfter turns the outcome of a call into an error.
type failingAfter struct{ err error }

func (f failingAfter) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	_ = next(ctx, call)
	return f.err
}

// TestWireSizesOfAttempts has the sizes of the last attempt only, also of one that
// ran on a copy.
func TestWireSizesOfAttempts(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
		seen, calls := make(chan measured, 1), 0
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			calls++
			if calls < 3 {
				return errDown
			}
			return hauberktest.Echo(ctx, s)
		}}
		again := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			for range 2 {
				_ = next(ctx, call)
			}
			attempt := call.Attempt()
			defer call.Adopt(attempt)
			return next(ctx, attempt)
		})
		c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
		env := c.With(hauberk.Config{CountBytes: true}).StartWith(t, backend, measuring(seen), again)
		wantCode(t, env.Call(t.Context(), "once").Err, codes.OK)
		got := <-seen
		request := int64(proto.Size(&testpb.Request{Text: "once"}))
		if want := (hauberk.WireBytes{Messages: 1, Bytes: request, Compressed: request}); got.sent != want {
			t.Errorf("%s: sent %+v, want %+v", kind, got.sent, want)
		}
		if got.received.Messages != 1 {
			t.Errorf("%s: received %+v", kind, got.received)
		}
	}
}

// TestWireSizesAreAChoice: without it, without the chain's options and for calls
// that do not come to a connection there are none, and who waits for the end of
// these does not wait.
func TestWireSizesAreAChoice(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		unmeasured := func(c hauberktest.Case, interceptors ...hauberk.Interceptor) {
			t.Helper()
			final := false
			interceptors = append([]hauberk.Interceptor{hauberk.Func(
				func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					err := next(ctx, call)
					if w := call.Wire(); w != nil || w.Sent() != (hauberk.WireBytes{}) || w.Received() != w.Sent() {
						t.Errorf("the sizes are %+v", w)
					}
					call.Wire().WhenFinal(func() { final = true })
					return err
				})}, interceptors...)
			env := c.Start(t, interceptors...)
			_ = env.Call(t.Context())
			env.Server.GracefulStop()
			if !final {
				t.Error("no one said that the sizes are final")
			}
		}
		unmeasured(c)
		if c.Side == hauberk.ClientSide {
			unmeasured(c.With(hauberk.Config{CountBytes: true}), hauberk.Func(turnDown))
		}
	})
	if h := hauberk.Must(hauberk.New()).StatsHandler(hauberk.ServerSide); h != nil {
		t.Errorf("a chain that does not measure has the handler %v", h)
	}
}

// TestWireSizesAreNotThoseOfTheHandler: what a handler calls is measured by its
// own chain or not at all.
func TestWireSizesAreNotThoseOfTheHandler(t *testing.T) {
	seen, inner := make(chan measured, 1), make(chan measured, 1)
	behind := hauberktest.Case{Side: hauberk.ClientSide}.With(hauberk.Config{CountBytes: true}).Start(t, measuring(inner))
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		if out := behind.Call(ctx, strings.Repeat("x", 1000)); out.Err != nil {
			return out.Err
		}
		return hauberktest.Echo(ctx, s)
	}}
	env := hauberktest.Case{}.With(hauberk.Config{CountBytes: true}).StartWith(t, backend, measuring(seen))
	wantCode(t, env.Call(t.Context(), "short").Err, codes.OK)
	if got := <-seen; got.received.Messages != 1 || got.sent.Messages != 1 || got.received.Bytes > 100 {
		t.Errorf("of the call: %+v", got)
	}
	if got := <-inner; got.sent.Messages != 1 || got.sent.Bytes < 1000 {
		t.Errorf("of the call inside: %+v", got)
	}
}
