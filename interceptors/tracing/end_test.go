package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	otelcodes "go.opentelemetry.io/otel/codes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// waiting returns a backend that waits until its context is done.
func waiting() (backend *hauberktest.Backend, entered chan struct{}) {
	entered = make(chan struct{}, 1)
	return &hauberktest.Backend{Handle: func(ctx context.Context, _ hauberktest.Stream) error {
		entered <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}}, entered
}

// ended checks the one span of a failed call.
func (s *spans) ended(t *testing.T, side hauberk.Side, name string, isError bool) {
	t.Helper()
	span := s.only(t)
	want := map[string]any{"rpc.response.status_code": name, "error.type": nil}
	code := otelcodes.Unset
	if isError || side == hauberk.ClientSide {
		want["error.type"], code = name, otelcodes.Error
	}
	have(t, span.Attributes(), want)
	if span.Status().Code != code || span.EndTime().IsZero() {
		t.Errorf("status %v, ended %v", span.Status(), span.EndTime())
	}
}

func TestCancelled(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		s := record()
		backend, entered := waiting()
		env := c.StartWith(t, backend, tracing.New(tracing.Config{}, s.option()))
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-entered
			cancel()
		}()
		wantCode(t, env.Call(ctx).Err, codes.Canceled)
		env.Server.GracefulStop()
		s.ended(t, c.Side, "CANCELLED", false)
	})
}

func TestDeadline(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		s := record()
		hurry := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			return next(ctx, call)
		})
		backend, _ := waiting()
		env := c.StartWith(t, backend, tracing.New(tracing.Config{}, s.option()), hurry)
		wantCode(t, env.Call(t.Context()).Err, codes.DeadlineExceeded)
		env.Server.GracefulStop()
		s.ended(t, c.Side, "DEADLINE_EXCEEDED", true)
	})
}

// The span of an abandoned stream ends with the context.
func TestAbandoned(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			s := record()
			done := make(chan struct{})
			watching := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				defer close(done)
				return next(ctx, call)
			})
			backend, entered := waiting()
			c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
			env := c.StartWith(t, backend, watching, tracing.New(tracing.Config{}, s.option()))
			ctx, cancel := context.WithCancel(t.Context())
			desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: true}
			stream, err := env.Conn.NewStream(ctx, desc, hauberktest.FullMethod(kind))
			if err == nil {
				err = stream.SendMsg(&testpb.Request{})
			}
			if err != nil {
				t.Fatal(err)
			}
			<-entered
			cancel() // the application does not read
			<-done
			s.ended(t, c.Side, "CANCELLED", true)
		})
	}
}

// panicking returns an interceptor that ends its call by a panic or Goexit.
func panicking(how func()) hauberk.Interceptor {
	return hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
		how()
		return nil
	})
}

func recovering() hauberk.Interceptor {
	return recovery.New(recovery.Config{}, recovery.WithLogger(slog.New(slog.DiscardHandler)))
}

// With recovery a panic or a Goexit is an ordinary error.
func TestRecovered(t *testing.T) {
	for name, how := range map[string]func(){"panic": func() { panic("canary-panic") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				s := record()
				env := c.Start(t, recovering(), tracing.New(tracing.Config{}, s.option()), panicking(how))
				var over sync.WaitGroup
				over.Go(func() { // on a unary client Goexit ends this goroutine
					if err := env.Call(t.Context()).Err; err == nil {
						t.Error("the call succeeded")
					}
				})
				over.Wait()
				env.Server.GracefulStop()
				s.ended(t, c.Side, "INTERNAL", true)
				if len(s.only(t).Events()) != 0 {
					t.Errorf("events %v", s.only(t).Events())
				}
			})
		})
	}
}

// Without recovery the span ends while the goroutine unwinds.
func TestUnwound(t *testing.T) {
	for name, how := range map[string]func(){"panic": func() { panic("canary-panic") }, "Goexit": runtime.Goexit} {
		for _, guarded := range []bool{false, true} {
			s := record()
			interceptors := []hauberk.Interceptor{tracing.New(tracing.Config{}, s.option()), panicking(how)}
			if guarded {
				interceptors = append([]hauberk.Interceptor{recovering()}, interceptors...)
			}
			call := called(hauberk.Must(hauberk.New(interceptors...)), t.Context())
			var over sync.WaitGroup
			over.Go(func() {
				defer func() {
					if v := recover(); v != nil && v != "canary-panic" {
						t.Errorf("%s: the panic became %v", name, v)
					}
				}()
				_ = call()
			})
			over.Wait()
			s.ended(t, hauberk.ClientSide, "INTERNAL", true)
			if len(s.only(t).Events()) != 0 {
				t.Errorf("%s: events %v", name, s.only(t).Events())
			}
		}
	}
}

// The description of an error without a status contains no more than its code says.
func TestDescription(t *testing.T) {
	for _, test := range []struct {
		err  error
		code string
		want string
	}{
		{errors.New("dial 10.0.0.7: secret"), "UNKNOWN", "unknown error"},
		{context.Canceled, "CANCELLED", "context canceled"},
		{context.DeadlineExceeded, "DEADLINE_EXCEEDED", "context deadline exceeded"},
		{errors.Join(errors.New("secret"), status.Error(codes.Internal, "broken")), "INTERNAL", "broken"},
		{&hauberk.Rejection{Code: codes.Unavailable, Reason: "SHED", Message: "overload", Cause: errors.New("secret")}, "UNAVAILABLE", "overload"},
		{status.Error(codes.Internal, "\xff\xfe"), "INTERNAL", "\uFFFD"},
		{status.Error(codes.Internal, string(slices.Repeat([]byte("x"), 5000))), "INTERNAL", string(slices.Repeat([]byte("x"), 1024))},
	} {
		s := record()
		failing := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { return test.err })
		if err := called(hauberk.Must(hauberk.New(tracing.New(tracing.Config{}, s.option()), failing)), t.Context())(); err == nil {
			t.Error("no error")
		}
		have(t, s.only(t).Attributes(), map[string]any{"rpc.response.status_code": test.code})
		if got := s.only(t).Status().Description; got != test.want {
			t.Errorf("%v: description %q, want %q", test.err, got, test.want)
		}
	}
}

// With ExposeErrors the client receives the text of an error without a status. The description of the
// span does not contain it.
func TestDescriptionExposed(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"no status", errors.New("dial 10.0.0.7: secret"), "unknown error"},
		{"deadline", fmt.Errorf("dial 10.0.0.7: %w", context.DeadlineExceeded), "context deadline exceeded"},
		{"cancelled", fmt.Errorf("dial 10.0.0.7: %w", context.Canceled), "context canceled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				s := record()
				failing := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { return test.err })
				env := c.With(hauberk.Config{ExposeErrors: true}).Start(t, tracing.New(tracing.Config{}, s.option()), failing)
				received := env.Call(t.Context()).Err
				if got := hauberk.StatusOf(received).Message(); got != test.err.Error() {
					t.Errorf("the client received %q, want %q", got, test.err)
				}
				env.Server.GracefulStop()
				want := test.want
				if c.Side == hauberk.ServerSide && hauberk.CodeOf(test.err) == codes.Canceled {
					want = "" // not an error on a server
				}
				if got := s.only(t).Status().Description; got != want {
					t.Errorf("description %q, want %q", got, want)
				}
				if got := attributes(s.only(t).Attributes()); strings.Contains(fmt.Sprint(got), "10.0.0.7") {
					t.Errorf("attributes %v", got)
				}
			})
		})
	}
}
