package recovery_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// panicOf returns the outcome of a unary call on a server whose handler panics.
func panicOf(t *testing.T, x hauberk.Interceptor, value any) error {
	t.Helper()
	return panicsIn(t, x, func() { panic(value) })
}

// panicsIn is panicOf with a function that panics.
func panicsIn(t *testing.T, x hauberk.Interceptor, do func()) error {
	t.Helper()
	var outcome error
	watch := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		outcome = next(ctx, call)
		return outcome
	})
	serve := hauberk.Must(hauberk.New(watch, x)).UnaryServerInterceptor()
	_, err := serve(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/s/m"}, func(context.Context, any) (any, error) {
		do()
		return nil, nil
	})
	if err == nil || outcome == nil {
		t.Fatalf("the call ended with %v, for the client with %v", outcome, err)
	}
	return outcome
}

// Status and text are the same for every value of a panic, also if an interceptor wraps
// the outcome.
func TestValues(t *testing.T) {
	for _, value := range []any{
		secret, errors.New(secret), 42, nil,
		[]string{secret},
		map[string]string{"token": secret},
		hauberk.Reject(codes.PermissionDenied, "SECRET", secret),
		status.Error(codes.NotFound, secret),
		fmt.Errorf("wrapped: %w", status.Error(codes.NotFound, secret)),
		context.Canceled,
	} {
		t.Run(fmt.Sprintf("%T", value), func(t *testing.T) {
			var log journal
			err := panicOf(t, recovery.New(recovery.Config{}, recovery.WithLogger(log.logger())), value)
			st := hauberk.StatusOf(fmt.Errorf("interceptor: %w", err))
			if st.Code() != codes.Internal || st.Message() != recovery.DefaultMessage || hauberk.Reason(err) != "" {
				t.Errorf("status %v, reason %q", st.Proto(), hauberk.Reason(err))
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the text has the value of the panic: %s", err)
			}
			if got := log.records(t); len(got) != 1 || strings.Contains(fmt.Sprint(got), secret) {
				t.Errorf("logged %v, want one record without the value", got)
			}
		})
	}
}

// With LogValues the log has the value of any panic.
func TestLogValues(t *testing.T) {
	for _, value := range []any{secret, errors.New(secret), []string{secret}, status.Error(codes.NotFound, secret)} {
		var log journal
		_ = panicOf(t, recovery.New(recovery.Config{LogValues: true}, recovery.WithLogger(log.logger())), value)
		records := log.records(t)
		if len(records) != 1 || !strings.Contains(fmt.Sprint(records[0][recovery.KeyPanic]), secret) {
			t.Errorf("logged %v of a %T, want its text", records, value)
		}
	}
}

// posing implements runtime.Error.
type posing string

func (p posing) Error() string { return string(p) }

func (posing) RuntimeError() {}

// The texts of the runtime's own errors are logged, because they hold no data of the
// program. Those of other types that implement runtime.Error are not.
func TestRuntimeErrors(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func()
		want any
	}{
		{"index", func() { _ = []int{1, 2, 3}[len(secret)] }, "runtime error: index out of range [11] with length 3"},
		{"nil pointer", func() { _ = *zero[*int]() }, "runtime error: invalid memory address or nil pointer dereference"},
		{"nil map", func() { zero[map[string]int]()[secret] = 1 }, "assignment to entry in nil map"},
		{"division", func() { _ = 1 / len(strings.TrimPrefix(secret, secret)) }, "runtime error: integer divide by zero"},
		{"type", func() { _ = any(secret).(int) }, "interface conversion: interface {} is string, not int"},
		{"closed channel", func() { close(closed()) }, "close of closed channel"},
		{"unhashable", func() { _ = map[any]int{any([]string{secret}): 1} }, "runtime error: hash of unhashable type []string"},
		{"nil panic", func() { panic(zero[any]()) }, "panic called with nil argument"},
		{"posing", func() { panic(posing(secret)) }, nil},
		{"wrapped", func() { panic(fmt.Errorf("%s: %w", secret, new(runtime.PanicNilError))) }, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log journal
			_ = panicsIn(t, recovery.New(recovery.Config{}, recovery.WithLogger(log.logger())), test.do)
			records := log.records(t)
			if len(records) != 1 || records[0][recovery.KeyPanic] != test.want {
				t.Errorf("logged %v, want the text %v", records, test.want)
			}
			if strings.Contains(fmt.Sprint(records), secret) {
				t.Errorf("logged %v", records)
			}
		})
	}
}

func zero[T any]() (v T) { return v }

func closed() chan int {
	c := make(chan int)
	close(c)
	return c
}

func TestMessage(t *testing.T) {
	config := recovery.Config{Message: "it broke"}
	err := panicOf(t, recovery.New(config, recovery.WithLogger(new(journal).logger())), 1)
	if got := hauberk.StatusOf(err).Message(); got != "it broke" {
		t.Errorf("message %q, want that of the Config", got)
	}
}

func TestHandler(t *testing.T) {
	type received struct {
		call  *hauberk.Call
		value any
		stack string
	}
	var got []received
	x := recovery.New(recovery.Config{}, recovery.WithLogger(new(journal).logger()),
		recovery.WithHandler(func(ctx context.Context, call *hauberk.Call, value any, stack []byte) {
			if hauberk.FromContext(ctx) != call {
				t.Error("the context is not the call's")
			}
			got = append(got, received{call, value, string(stack)})
		}))
	_ = panicOf(t, x, secret)
	if len(got) != 1 || got[0].value != secret || got[0].call.Method().FullName() != "/s/m" ||
		!strings.Contains(got[0].stack, "outcome_test.go") {
		t.Errorf("the handler received %v", got)
	}
}

// A panic of the handler of panics ends neither the process nor the call.
func TestHandlerPanics(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var log journal
		x := recovery.New(recovery.Config{LogValues: true}, recovery.WithLogger(log.logger()),
			recovery.WithHandler(func(context.Context, *hauberk.Call, any, []byte) { panic("second") }))
		bad := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { panic("first") })
		out := c.Start(t, x, bad).Call(t.Context())
		if st := status.Convert(out.Err); st.Code() != codes.Internal || st.Message() != recovery.DefaultMessage {
			t.Errorf("the call ended with %v", out.Err)
		}
		var values []any
		for _, r := range log.records(t) {
			values = append(values, r[recovery.KeyPanic])
		}
		if fmt.Sprint(values) != "[first second]" || x.Panics() != 1 {
			t.Errorf("logged %v, counted %d; want both and 1", values, x.Panics())
		}
	})
}

// The text of a value is cut. The method that returns it may panic.
func TestBounds(t *testing.T) {
	for name, value := range map[string]any{"long": "x" + strings.Repeat("é", 5000), "panics": stringer{}, "terminal": "\u009b31m\x7f\u202e"} {
		var log journal
		_ = panicOf(t, recovery.New(recovery.Config{LogValues: true}, recovery.WithLogger(log.logger())), value)
		records := log.records(t)
		if len(records) != 1 {
			t.Fatalf("%s: %d log records, want 1", name, len(records))
		}
		if got := len(fmt.Sprint(records[0][recovery.KeyPanic])); got > 4096+len("…") {
			t.Errorf("%s: %d bytes logged of the value", name, got)
		}
		if got := fmt.Sprint(records[0][recovery.KeyPanic]); strings.ContainsAny(got, "\u009b\x7f\u202e\ufffd") {
			t.Errorf("%s: %q logged of the value", name, got)
		}
	}
}

type stringer struct{}

func (stringer) String() string { panic("a String method that panics") }

func TestConfiguration(t *testing.T) {
	for _, test := range []struct {
		name   string
		option recovery.Option
		want   string
	}{
		{"nil logger", recovery.WithLogger(nil), "WithLogger was given a nil logger"},
		{"nil handler", recovery.WithHandler(nil), "WithHandler was given a nil function"},
		{"nil attrs", recovery.WithAttrs(nil), "WithAttrs was given a nil function"},
		{"no name", recovery.State("", idKey), "State was given an empty name"},
		{"own name", recovery.State(recovery.KeyStack, idKey), `State "exception.stacktrace" has the name of`},
		{"slog's name", recovery.State("msg", idKey), `State "msg" has the name of`},
		{"twice", recovery.State("id", idKey), `State "id" is there twice`},
		{"zero key", recovery.State("zero", hauberk.Key[string]{}), `State "zero" was given a key without a name`},
	} {
		_, err := hauberk.New(recovery.New(recovery.Config{}, recovery.State("id", idKey), test.option))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v; want one with %q", test.name, err, test.want)
		}
	}
	good := []recovery.Option{recovery.State("id", idKey), recovery.State("again", idKey), recovery.WithAttrs(tracing.LogAttrs)}
	if _, err := hauberk.New(recovery.New(recovery.Config{}, good...)); err != nil {
		t.Error(err)
	}
	for field, names := range map[string]recovery.Names{
		"Kind": {Kind: recovery.KeySide}, "Stack": {PanicAt: "at", Stack: "at"}, "Panic": {Panic: "msg"},
	} {
		_, err := hauberk.New(recovery.New(recovery.Config{Names: names}))
		if err == nil || !strings.Contains(err.Error(), "Config.Names."+field) {
			t.Errorf("%+v: error %v", names, err)
		}
	}
	if _, err := hauberk.New(&recovery.Interceptor{}); err == nil || !strings.Contains(err.Error(), "make it with recovery.New") {
		t.Errorf("a zero Interceptor: error %v", err)
	}
}
