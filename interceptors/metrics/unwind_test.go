package metrics_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// unwinding contains interceptors that do not return.
var unwinding = map[string]hauberk.Interceptor{
	"panic": hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { panic("ouch") }),
	"panic after": hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		panic(fmt.Sprint("ouch ", next(ctx, call)))
	}),
	"goexit": hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
		runtime.Goexit()
		return nil
	}),
	"goexit after": hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		_ = next(ctx, call)
		runtime.Goexit()
		return nil
	}),
}

// apart runs f on a separate goroutine and returns the value of its panic, or nil.
func apart(f func()) any {
	panicked := make(chan any, 1)
	go func() {
		defer func() { panicked <- recover() }()
		f()
	}()
	return <-panicked
}

// A panic and a Goexit pass through and count as Internal. No call stays in flight.
func TestUnwindingOnServer(t *testing.T) {
	for name, interceptor := range unwinding {
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
			for variant, m := range variants() {
				t.Run(name+"/"+kind.String()+"/"+variant, func(t *testing.T) {
					serve := served(chainOf(t, m, interceptor), kind, &hauberktest.Backend{})
					panicked := apart(func() { _ = serve() })
					checkPassed(t, name, panicked)
					c := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}
					checkCounts(t, count(t, m, c), 1, codes.Internal)
				})
			}
		}
	}
}

func TestUnwindingOnClient(t *testing.T) {
	for name, interceptor := range unwinding {
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
			for variant, m := range variants() {
				t.Run(name+"/"+kind.String()+"/"+variant, func(t *testing.T) {
					hauberktest.CheckLeaks(t)
					c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
					env := c.Start(t, m, interceptor)
					var out hauberktest.Outcome
					panicked := apart(func() { out = env.Call(context.Background()) })
					checkPassed(t, name, panicked)
					if name[0] == 'g' && kind != hauberk.Unary && status.Code(out.Err) != codes.Internal {
						t.Errorf("the application received %v", out.Err)
					}
					checkCounts(t, count(t, m, c), 1, codes.Internal)
				})
			}
		}
	}
}

func checkPassed(t *testing.T, name string, panicked any) {
	t.Helper()
	if panics := name[0] == 'p'; panics != (panicked != nil) {
		t.Errorf("the panic is %v", panicked)
	}
}

// guard is an interceptor with a recovery.
type guard struct{ err error }

func (guard) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return next(ctx, call)
}

func (g guard) Recovered(context.Context, *hauberk.Call, any, []byte) error { return g.err }

// With a recovery at any place in the chain, a panic is an ordinary error.
func TestRecovered(t *testing.T) {
	recovery := guard{status.Error(codes.DataLoss, "recovered")}
	m := func() *metrics.Interceptor { return metrics.New(metrics.Config{}) }
	for name, interceptor := range unwinding {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				if name[0] == 'g' && c == (hauberktest.Case{Side: hauberk.ClientSide, Kind: hauberk.Unary}) {
					return // ends the application's own goroutine: TestUnwindingOnClient
				}
				for _, inside := range []bool{true, false} {
					m := m()
					interceptors := []hauberk.Interceptor{recovery, m, interceptor}
					if inside {
						interceptors = []hauberk.Interceptor{m, recovery, interceptor}
					}
					_ = c.Start(t, interceptors...).Call(t.Context())
					s := count(t, m, c)
					if s.Calls != 1 || s.Ended != 1 || s.Codes[codes.DataLoss]+s.Codes[codes.Internal] != 1 {
						t.Errorf("inside %v: %+v", inside, s)
					}
				}
			})
		})
	}
}
