package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	mwauth "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	mwlogging "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	mwratelimit "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/ratelimit"
	mwrecovery "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	mwretry "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/retry"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/timeout"
	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// lines records log lines of go-grpc-middleware and of interceptors, in their order.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, line)
}

func (l *lines) Log(_ context.Context, _ mwlogging.Level, msg string, _ ...any) { l.add(msg) }

func (l *lines) tag(name string) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		l.add(name + " in")
		err := next(ctx, call)
		l.add(name + " out")
		return err
	})
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestMiddlewareLogging: the log lines of go-grpc-middleware come in the order of
// the interceptors.
func TestMiddlewareLogging(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var l lines
		on := mwlogging.WithLogOnEvents(mwlogging.StartCall, mwlogging.FinishCall)
		interceptor := hauberk.FromServer(mwlogging.UnaryServerInterceptor(&l, on), mwlogging.StreamServerInterceptor(&l, on))
		if c.Side == hauberk.ClientSide {
			interceptor = hauberk.FromClient(mwlogging.UnaryClientInterceptor(&l, on), mwlogging.StreamClientInterceptor(&l, on))
		}
		env := c.Start(t, l.tag("outer"), interceptor, l.tag("inner"))
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		env.Server.GracefulStop()
		want := []string{"outer in", "started call", "inner in", "inner out", "finished call", "outer out"}
		if c.Kind != hauberk.Unary { // it logs the start of a stream with the first message
			want[1], want[2] = want[2], want[1]
		}
		if !slices.Equal(l.all, want) {
			t.Errorf("got %q, want %q", l.all, want)
		}
	})
}

// TestMiddlewareMetrics: its Prometheus provider counts calls and messages.
func TestMiddlewareMetrics(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var interceptor hauberk.Interceptor
		var collector prom.Collector
		if c.Side == hauberk.ServerSide {
			m := prometheus.NewServerMetrics()
			interceptor, collector = hauberk.FromServer(m.UnaryServerInterceptor(), m.StreamServerInterceptor()), m
		} else {
			m := prometheus.NewClientMetrics()
			interceptor, collector = hauberk.FromClient(m.UnaryClientInterceptor(), m.StreamClientInterceptor()), m
		}
		env := c.Start(t, interceptor)
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		env.Server.GracefulStop()
		side := "grpc_" + c.Side.String()
		for _, name := range []string{"started_total", "handled_total", "msg_received_total", "msg_sent_total"} {
			if got := testutil.CollectAndCount(collector, side+"_"+name); got != 1 {
				t.Errorf("%s_%s: %d series", side, name, got)
			}
		}
	})
}

// TestMiddlewareOnServers: auth, ratelimit and recovery work on a server.
func TestMiddlewareOnServers(t *testing.T) {
	auth := func(ctx context.Context) (context.Context, error) {
		token, err := mwauth.AuthFromMD(ctx, "bearer")
		return context.WithValue(ctx, tokenKey{}, token), err
	}
	deny := denier{}
	cases := map[string]struct {
		interceptor hauberk.Interceptor
		want        codes.Code
	}{
		"auth":      {hauberk.FromServer(mwauth.UnaryServerInterceptor(auth), mwauth.StreamServerInterceptor(auth)), codes.OK},
		"ratelimit": {hauberk.FromServer(mwratelimit.UnaryServerInterceptor(deny), mwratelimit.StreamServerInterceptor(deny)), codes.ResourceExhausted},
		"recovery":  {hauberk.FromServer(mwrecovery.UnaryServerInterceptor(), mwrecovery.StreamServerInterceptor()), codes.Unknown},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				if c.Side == hauberk.ClientSide {
					return // all three are for servers only
				}
				backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
					if name == "recovery" {
						panic("handler")
					}
					if name == "auth" && ctx.Value(tokenKey{}) != "secret" {
						t.Errorf("the handler's token is %v", ctx.Value(tokenKey{}))
					}
					return hauberktest.Echo(ctx, s)
				}}
				env := c.StartWith(t, backend, tc.interceptor)
				ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer secret")
				out := env.Call(ctx)
				wantCode(t, out.Err, tc.want)
				if name == "recovery" && strings.Contains(out.Err.Error(), "panic") {
					t.Errorf("the client received the text of the panic: %v", out.Err)
				}
			})
		})
	}
}

type tokenKey struct{}

type denier struct{}

func (denier) Limit(context.Context) error { return status.Error(codes.ResourceExhausted, "denied") }

// TestMiddlewareRetry: its retry makes new attempts of the inner interceptors.
func TestMiddlewareRetry(t *testing.T) {
	opts := []mwretry.CallOption{mwretry.WithMax(3), mwretry.WithBackoff(func(context.Context, uint) time.Duration { return 0 })}
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			var l lines
			failures := make(chan struct{}, 2)
			failures <- struct{}{}
			failures <- struct{}{}
			backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
				select {
				case <-failures:
					return status.Error(codes.Unavailable, "down")
				default:
					return hauberktest.Echo(ctx, s)
				}
			}}
			interceptor := hauberk.FromClient(mwretry.UnaryClientInterceptor(opts...), mwretry.StreamClientInterceptor(opts...))
			env := hauberktest.Start(t, hauberktest.Setup{
				Backend: backend, Kind: kind, Client: hauberk.Must(hauberk.New(l.tag("call"), interceptor, l.tag("attempt"))),
			})
			wantCode(t, env.Call(t.Context()).Err, codes.OK)
			if got := strings.Count(strings.Join(l.all, ","), "attempt in"); got != 3 {
				t.Errorf("%d attempts: %q", got, l.all)
			}
		})
	}
}

// TestMiddlewareTimeout: its client timeout ends a unary call.
func TestMiddlewareTimeout(t *testing.T) {
	hauberktest.CheckLeaks(t)
	pass := func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		return streamer(ctx, desc, cc, method, opts...)
	}
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, _ hauberktest.Stream) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	env := hauberktest.Start(t, hauberktest.Setup{
		Backend: backend,
		Client:  hauberk.Must(hauberk.New(hauberk.FromClient(timeout.UnaryClientInterceptor(20*time.Millisecond), pass))),
	})
	wantCode(t, env.Call(t.Context()).Err, codes.DeadlineExceeded)
}
