package metricsotel_test

import (
	"context"
	"runtime"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsotel"
)

// unwinding contains interceptors that do not return.
var unwinding = map[string]hauberk.Interceptor{
	"panic": hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { panic("ouch") }),
	"panic after": hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		_ = next(ctx, call)
		panic("ouch")
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

// A panic and a Goexit pass through and are recorded as INTERNAL.
func TestUnwinding(t *testing.T) {
	for name, interceptor := range unwinding {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				provider := newRecorder(t)
				m := metricsotel.New(metricsotel.Config{Enable: ofRetries}, metricsotel.WithMeterProvider(provider))
				chain := chainOf(t, m.Calls(), m.Attempts(), interceptor)
				call := served(chain, c.Kind, &hauberktest.Backend{})
				if c.Side == hauberk.ClientSide {
					env := hauberktest.Start(t, hauberktest.Setup{Kind: c.Kind, Client: chain})
					call = func() error { return cell{c}.call(t, env).Err }
				}
				panicked := apart(func() { _ = call() })
				if panics := name[0] == 'p'; panics != (panicked != nil) {
					t.Errorf("the panic is %v", panicked)
				}
				checkPoints(t, provider, cell{c}.once("INTERNAL"))
			})
		})
	}
}

// A call is recorded once with the status that the metrics interceptor receives.
func TestOutcomes(t *testing.T) {
	tests := []struct {
		name         string
		backend      *hauberktest.Backend
		interceptors []hauberk.Interceptor
		status       string
	}{
		{"error of the handler", failing(codes.DataLoss)(), nil, "DATA_LOSS"},
		{"rejected by an inner interceptor", nil, []hauberk.Interceptor{reject}, "PERMISSION_DENIED"},
		{"answered by an inner interceptor", nil, []hauberk.Interceptor{answer}, "OK"},
		{"undefined code", nil, []hauberk.Interceptor{hauberk.Func(
			func(context.Context, *hauberk.Call, hauberk.Next) error { return status.Error(99, "what") })}, "UNKNOWN"},
		{"context error", nil, []hauberk.Interceptor{hauberk.Func(
			func(context.Context, *hauberk.Call, hauberk.Next) error { return context.DeadlineExceeded })}, "DEADLINE_EXCEEDED"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				provider, ended := newRecorder(t), make(chan struct{}, 1)
				m := metricsotel.New(metricsotel.Config{}, metricsotel.WithMeterProvider(provider))
				env := c.StartWith(t, test.backend, append([]hauberk.Interceptor{signal(ended), m}, test.interceptors...)...)
				_ = cell{c}.call(t, env)
				<-ended
				checkPoints(t, provider, cell{c}.once(test.status))
			})
		})
	}
}

// A call that an outer interceptor rejects is not recorded.
func TestRejectedByOuterInterceptor(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		provider := newRecorder(t)
		m := metricsotel.New(metricsotel.Config{}, metricsotel.WithMeterProvider(provider))
		if out := (cell{c}).call(t, c.Start(t, reject, m)); status.Code(out.Err) != codes.PermissionDenied {
			t.Error(out.Err)
		}
		checkPoints(t, provider, map[string]map[string]string{})
	})
}

// A stream that the application abandons ends with its context. Its sizes are those of the messages
// until then.
func TestAbandonedStream(t *testing.T) {
	for _, kind := range streams {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			provider, ended := newRecorder(t), make(chan struct{}, 1)
			m := metricsotel.New(metricsotel.Config{}, metricsotel.WithMeterProvider(provider))
			chain := countingOf(t, signal(ended), m)
			env := hauberktest.Start(t, hauberktest.Setup{
				Kind: kind, DialOptions: chain.DialOptions(),
				Backend: &hauberktest.Backend{Handle: func(ctx context.Context, _ hauberktest.Stream) error {
					<-ctx.Done()
					return ctx.Err()
				}},
			})
			ctx, cancel := context.WithCancel(t.Context())
			desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
			stream, err := env.Client.NewStream(ctx, desc, hauberktest.FullMethod(kind), grpc.StaticMethod())
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.SendMsg(&testpb.Request{Text: "hello"}); err != nil {
				t.Fatal(err)
			}
			method := "method=" + shortMethod(kind)
			checkPoints(t, provider, map[string]map[string]string{metricsotel.ClientAttemptStarted: {method: "1"}})
			cancel()
			<-ended
			want := cell{hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}}.once("CANCELLED")
			want[metricsotel.ClientAttemptSent] = map[string]string{method + " status=CANCELLED": "1 sum 7 in [1]"}
			want[metricsotel.ClientAttemptReceived] = map[string]string{method + " status=CANCELLED": "1 sum 0 in [0]"}
			checkPoints(t, provider, want)
		})
	}
}

// guard is an interceptor with a recovery.
type guard struct{ err error }

func (guard) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return next(ctx, call)
}

func (g guard) Recovered(context.Context, *hauberk.Call, any, []byte) error { return g.err }

// With a recovery at any place in the chain, a panic has the status of the recovery.
func TestRecovered(t *testing.T) {
	recovery := guard{status.Error(codes.DataLoss, "recovered")}
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		for _, inside := range []bool{true, false} {
			provider, ended := newRecorder(t), make(chan struct{}, 1)
			m := metricsotel.New(metricsotel.Config{}, metricsotel.WithMeterProvider(provider))
			interceptors := []hauberk.Interceptor{signal(ended), recovery, m, unwinding["panic"]}
			if inside {
				interceptors = []hauberk.Interceptor{signal(ended), m, recovery, unwinding["panic"]}
			}
			_ = cell{c}.call(t, c.Start(t, interceptors...))
			<-ended
			checkPoints(t, provider, cell{c}.once("DATA_LOSS"))
		}
	})
}
