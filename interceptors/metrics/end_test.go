package metrics_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// Both sides count a call once however it ends, and no call stays in flight.
func TestEndsFromOutside(t *testing.T) {
	tests := []struct {
		name string
		// end ends the call while its handler runs.
		end            func(env *hauberktest.Env, cancel context.CancelFunc)
		timeout        time.Duration
		client, server []codes.Code
	}{
		{
			"cancelled", func(_ *hauberktest.Env, cancel context.CancelFunc) { cancel() }, 0,
			[]codes.Code{codes.Canceled},
			[]codes.Code{codes.Canceled},
		},
		{
			"deadline", func(*hauberktest.Env, context.CancelFunc) {}, 50 * time.Millisecond,
			// The server's timer and the client's reset race.
			[]codes.Code{codes.DeadlineExceeded},
			[]codes.Code{codes.DeadlineExceeded, codes.Canceled},
		},
		{
			"connection closed", func(env *hauberktest.Env, _ context.CancelFunc) { _ = env.Client.Close() }, 0,
			[]codes.Code{codes.Canceled},
			[]codes.Code{codes.Canceled},
		},
		{
			"server stopped", func(env *hauberktest.Env, _ context.CancelFunc) { env.Server.Stop() }, 0,
			[]codes.Code{codes.Unavailable},
			[]codes.Code{codes.Canceled},
		},
	}
	for _, test := range tests {
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
			for name, m := range variants() {
				t.Run(test.name+"/"+kind.String()+"/"+name, func(t *testing.T) {
					hauberktest.CheckLeaks(t)
					watch, ended := signal()
					entered := make(chan struct{})
					chain := hauberk.Must(hauberk.Config{CountBytes: true}.New(watch, m))
					env := hauberktest.Start(t, hauberktest.Setup{
						Kind: kind, Server: chain, Client: chain,
						Backend: &hauberktest.Backend{Handle: func(ctx context.Context, _ hauberktest.Stream) error {
							close(entered)
							<-ctx.Done()
							return ctx.Err()
						}},
					})
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					if test.timeout > 0 {
						ctx, cancel = context.WithTimeout(ctx, test.timeout)
						defer cancel()
					}
					go env.Call(ctx)
					<-entered
					test.end(env, cancel)
					_, _ = <-ended, <-ended
					s := m.Snapshot()
					checkEnd(t, "client", s.Client.Methods[hauberktest.FullMethod(kind)], test.client)
					checkEnd(t, "server", s.Server.Methods[hauberktest.FullMethod(kind)], test.server)
				})
			}
		}
	}
}

func checkEnd(t *testing.T, what string, s metrics.MethodSnapshot, either []codes.Code) {
	t.Helper()
	var counted uint64
	for _, code := range either {
		counted += s.Codes[code]
	}
	if s.Calls != 1 || s.Ended != 1 || s.InFlight != 0 || counted != 1 {
		t.Errorf("%s: %d calls, %d ended, %d in flight, codes %v; want one with %v",
			what, s.Calls, s.Ended, s.InFlight, s.Codes, either)
	}
}

// A stream that the application abandons ends with its context.
func TestAbandonedStream(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
			m := metrics.New(metrics.Config{})
			watch, ended := signal()
			silent := &hauberktest.Backend{Handle: func(ctx context.Context, _ hauberktest.Stream) error {
				<-ctx.Done()
				return ctx.Err()
			}}
			env := c.StartWith(t, silent, watch, m)
			ctx, cancel := context.WithCancel(t.Context())
			open(t, ctx, env, kind)
			if s := count(t, m, c); s.InFlight != 1 {
				t.Errorf("in flight: %d", s.InFlight)
			}
			cancel()
			if code := hauberk.StatusOf(<-ended).Code(); code != codes.Canceled {
				t.Errorf("the call ended with %s", code)
			}
			checkCounts(t, count(t, m, c), 1, codes.Canceled)
			checkMoved(t, m, c, 1, messages{up: 1})
		})
	}
}

// open opens a stream and sends one message.
func open(t *testing.T, ctx context.Context, env *hauberktest.Env, kind hauberk.Kind) grpc.ClientStream { //nolint:revive // t first, as everywhere
	t.Helper()
	desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
	stream, err := env.Conn.NewStream(ctx, desc, hauberktest.FullMethod(kind))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(request); err != nil {
		t.Fatal(err)
	}
	return stream
}

// A server can end a call while its client still sends.
func TestServerEndsEarly(t *testing.T) {
	aborted := status.Error(codes.Aborted, "enough")
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		m := metrics.New(metrics.Config{})
		env := c.StartWith(t, &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error { return aborted }}, m)
		out := env.Call(t.Context(), "a", "b", "c")
		if status.Code(out.Err) != codes.Aborted {
			t.Fatal(out.Err)
		}
		checkCounts(t, count(t, m, c), 1, codes.Aborted)
	})
}
