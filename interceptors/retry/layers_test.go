package retry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/retrybudget"
)

// TestCallerPushback: a handler whose call was retried in vain asks its own client not to retry, and
// only then.
func TestCallerPushback(t *testing.T) {
	for _, c := range []struct {
		name     string
		config   retry.Config
		budget   retrybudget.Config
		code     codes.Code
		pushback string // of the innermost service
		want     string
	}{
		{name: "retried", code: codes.Unavailable, want: "-1"},
		{name: "without a budget", config: retry.Config{NoBudget: true}, code: codes.Unavailable, want: "-1"},
		{name: "rejected by the budget", budget: retrybudget.Config{NoReserve: true}, code: codes.Unavailable, want: "-1"},
		{name: "not to be retried", code: codes.Unavailable, pushback: "-1", want: "-1"},
		{name: "later than allowed", code: codes.Unavailable, pushback: "100000", want: "-1"},
		{name: "another code", code: codes.NotFound},
		{name: "retries turned off", config: retry.Config{MaxAttempts: 1}, code: codes.Unavailable},
		{name: "pushback turned off", config: retry.Config{NoCallerPushback: true}, code: codes.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			kinds(t, func(t *testing.T, kind hauberk.Kind) {
				b := &backend{}
				b.Handle = func(_ context.Context, s hauberktest.Stream) error {
					if c.pushback != "" {
						s.SetTrailer(metadata.Pairs("grpc-retry-pushback-ms", c.pushback))
					}
					return status.Error(c.code, "down")
				}
				c.config.MaxReplayBytes = 1 << 10
				opts := []retry.Option{retry.WithSleep((&waits{}).sleep)}
				if !c.config.NoBudget {
					opts = append(opts, retry.WithBudget(retrybudget.New(c.budget)))
				}
				inner := start(t, kind, b, all(c.config, opts...))
				outer := hauberktest.Start(t, hauberktest.Setup{Kind: kind, Backend: &hauberktest.Backend{
					Handle: func(ctx context.Context, _ hauberktest.Stream) error { return inner.Call(ctx).Err },
				}})
				out := outer.Call(t.Context())
				wantCode(t, out.Err, c.code)
				if got := strings.Join(out.Trailer.Get("grpc-retry-pushback-ms"), ","); got != c.want {
					t.Errorf("pushback %q, want %q", got, c.want)
				}
			})
		})
	}
}

// retryPolicy is a service config with grpc-go's own retries.
const retryPolicy = `{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 2, "initialBackoff": "0.001s",
	"maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`

// TestTransportRetries: a call that grpc-go retries by its service config is not retried on top, and
// its error says so. The status stays.
func TestTransportRetries(t *testing.T) {
	for _, c := range []struct {
		name   string
		dial   []grpc.DialOption
		opts   []grpc.CallOption
		want   int64 // attempts
		nested bool
	}{
		{"retryPolicy", []grpc.DialOption{grpc.WithDefaultServiceConfig(retryPolicy)}, nil, 2, true},
		{"turned off", []grpc.DialOption{grpc.WithDefaultServiceConfig(retryPolicy), grpc.WithDisableRetry()}, nil, 3, false},
		{"ours turned off", []grpc.DialOption{grpc.WithDefaultServiceConfig(retryPolicy)}, []grpc.CallOption{retry.Disable()}, 2, false},
		{"no retryPolicy", []grpc.DialOption{grpc.WithDefaultServiceConfig(`{}`)}, nil, 3, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			kinds(t, func(t *testing.T, kind hauberk.Kind) {
				b := failing(9, codes.Unavailable)
				chain := hauberk.Must(hauberk.New(all(retry.Config{MaxReplayBytes: 1 << 10}, retry.WithSleep((&waits{}).sleep))))
				env := hauberktest.Start(t, hauberktest.Setup{Kind: kind, Backend: &b.Backend, Client: chain, DialOptions: c.dial})
				out := env.Do(t.Context(), hauberktest.FullMethod(kind), []*testpb.Request{{}}, c.opts...)
				wantCode(t, out.Err, codes.Unavailable)
				wantCalls(t, b, c.want)
				if got := errors.Is(out.Err, retry.ErrTransportRetries); got != c.nested {
					t.Errorf("ErrTransportRetries is %t in %v, want %t", got, out.Err, c.nested)
				}
				if c.nested && !strings.Contains(out.Err.Error(), "remove it, or use grpc.WithDisableRetry") {
					t.Errorf("no advice in %v", out.Err)
				}
			})
		})
	}
}

// TestFinalAttempt: header, trailer, peer and the callbacks of the application have what the last
// attempt received.
func TestFinalAttempt(t *testing.T) {
	for _, last := range []codes.Code{codes.OK, codes.NotFound, codes.Unavailable} {
		t.Run(last.String(), func(t *testing.T) {
			kinds(t, func(t *testing.T, kind hauberk.Kind) {
				b := &backend{}
				b.Handle = func(ctx context.Context, s hauberktest.Stream) error {
					n := string(rune('0' + b.calls.Add(1)))
					s.SetTrailer(metadata.Pairs("attempt", n))
					if n != "3" {
						return status.Error(codes.Unavailable, "down")
					}
					if err := s.SetHeader(metadata.Pairs("attempt", n)); err != nil {
						return err
					}
					if last == codes.OK {
						return hauberktest.Echo(ctx, s)
					}
					return status.Error(last, "down")
				}
				env := start(t, kind, b, all(retry.Config{MaxReplayBytes: 1 << 10}, retry.WithSleep((&waits{}).sleep)))
				var header, trailer metadata.MD
				var p peer.Peer
				var ends []error
				out := env.Do(t.Context(), hauberktest.FullMethod(kind), []*testpb.Request{{}},
					grpc.Header(&header), grpc.Trailer(&trailer), grpc.Peer(&p), grpc.OnFinish(func(err error) { ends = append(ends, err) }))
				wantCode(t, out.Err, last)
				wantCalls(t, b, 3)
				if got := strings.Join(trailer.Get("attempt"), ","); got != "3" {
					t.Errorf("the trailer has %q, want 3", got)
				}
				if got := strings.Join(header.Get("attempt"), ","); last == codes.OK && got != "3" {
					t.Errorf("the header has %q, want 3", got)
				}
				if p.Addr == nil || len(ends) != 1 || status.Code(ends[0]) != last {
					t.Errorf("peer %v, ends %v; want a peer, and one end", p.Addr, ends)
				}
			})
		})
	}
}

// TestOptionsOfAttempts: each attempt has the application's call options.
func TestOptionsOfAttempts(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		b := failing(2, codes.Unavailable)
		var seen [][]grpc.CallOption
		inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			seen = append(seen, call.Options())
			return next(ctx, call)
		})
		env := start(t, kind, b, all(retry.Config{MaxReplayBytes: 1 << 10}, retry.WithSleep((&waits{}).sleep)), inner)
		opt := grpc.WaitForReady(true)
		wantCode(t, env.Do(t.Context(), hauberktest.FullMethod(kind), []*testpb.Request{{}}, opt).Err, codes.OK)
		if len(seen) != 3 {
			t.Fatalf("%d attempts, want 3", len(seen))
		}
		for n, opts := range seen {
			found := false
			for _, o := range opts {
				found = found || o == opt
			}
			if !found {
				t.Errorf("attempt %d has %v, want the option", n+1, opts)
			}
		}
	})
}

// TestTimeoutAboveDeadline: a per-attempt timeout above the caller's deadline is useless and legal.
func TestTimeoutAboveDeadline(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		synctest.Test(t, func(t *testing.T) {
			b := &backend{}
			b.Handle = func(ctx context.Context, _ hauberktest.Stream) error {
				b.calls.Add(1)
				<-ctx.Done()
				return ctx.Err()
			}
			env := start(t, kind, b, all(retry.Config{MaxReplayBytes: 1 << 10, PerAttemptTimeout: time.Hour}))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			wantCode(t, env.Call(ctx).Err, codes.DeadlineExceeded)
			wantCalls(t, b, 1)
		})
	})
}
