package breaker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
)

// TestKey: calls share the circuit of their key, and those without it the circuit of By. Rejections
// and decisions do not have the value.
func TestKey(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		var decided []hauberk.Decision
		b := breaker.New(breaker.Config{FailureThreshold: 2, Key: callkey.Metadata("tenant")})
		look := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := next(ctx, call)
			decided = append(decided, call.Decisions().Recorded()...)
			return err
		})
		w := startChain(t, kind, b, look, b)
		as := func(tenant string, answer codes.Code) error {
			ctx := t.Context()
			if tenant != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, "tenant", tenant)
			}
			w.answer.Store(uint32(answer))
			return w.Call(ctx).Err
		}
		for range 2 {
			_ = as("acme", codes.Unavailable)
			_ = as("", codes.Unavailable)
		}
		for _, tenant := range []string{"acme", ""} {
			if err := as(tenant, codes.OK); !errors.Is(err, breaker.ErrOpen) || strings.Contains(errorText(err), "acme") {
				t.Errorf("tenant %q: %v", tenant, errorText(err))
			}
		}
		if err := as("other", codes.OK); err != nil {
			t.Error(err)
		}
		var names []string
		for _, c := range w.breaker.Circuits() {
			names = append(names, c.Name+" "+c.State.String())
		}
		want := []string{service + " open", "metadata:tenant:acme open", "metadata:tenant:other closed"}
		if !slices.Equal(names, want) {
			t.Errorf("circuits %q", names)
		}
		if len(decided) != 2 || decided[0].Rule != "metadata:tenant" || decided[1].Rule != service {
			t.Errorf("decisions %+v", decided)
		}
	})
}

// errorText is all that an error says.
func errorText(err error) string {
	text := err.Error()
	for ; err != nil; err = errors.Unwrap(err) {
		text += "; " + err.Error()
	}
	return text + hauberk.StatusOf(err).Proto().String()
}

// TestKeys: keys of all sorts, such as long and combined ones, have different circuits.
func TestKeys(t *testing.T) {
	long := strings.Repeat("k", 1000)
	for name, c := range map[string]struct {
		key callkey.Key
		md  []string
		n   int
	}{
		"global":   {callkey.Global(), nil, 1},
		"method":   {callkey.Method(), nil, 1},
		"combined": {callkey.All(callkey.Metadata("a"), callkey.Metadata("b")), []string{"a", "x:1", "b", "y"}, 1},
		"long":     {callkey.Metadata("a"), []string{"a", long}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, hauberk.Unary, breaker.Config{FailureThreshold: 1, Key: c.key})
			for range 3 {
				_ = w.Call(metadata.AppendToOutgoingContext(t.Context(), c.md...))
			}
			if got := w.breaker.Circuits(); len(got) != c.n || !strings.HasPrefix(got[0].Name, c.key.Name()) {
				t.Errorf("circuits %+v", got)
			}
		})
	}
}

// TestKeyReadsState: the order proof knows what the key reads.
func TestKeyReadsState(t *testing.T) {
	project := hauberk.NewKey[string]("project")
	b := breaker.New(breaker.Config{Key: callkey.State(project)})
	if _, err := hauberk.New(b); err == nil || !strings.Contains(err.Error(), "project") {
		t.Errorf("got %v, want an error about the state that no one writes", err)
	}
}

// TestKeyAllocatesNothing: a call with a key allocates nothing more.
func TestKeyAllocatesNothing(t *testing.T) {
	ctx := metadata.AppendToOutgoingContext(t.Context(), "tenant", "acme")
	measure := func(x ...hauberk.Interceptor) float64 {
		conn := hauberk.Must(hauberk.New(x...)).ClientConn(hauberktest.Conn{})
		return testing.AllocsPerRun(1000, func() {
			_ = conn.Invoke(ctx, hauberktest.FullMethod(hauberk.Unary), reply, reply)
		})
	}
	bare := measure(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		_ = call.Metadata(ctx, "tenant")
		return next(ctx, call)
	}))
	if with := measure(breaker.New(breaker.Config{Key: callkey.Metadata("tenant")})); with > bare {
		t.Errorf("%v allocations, %v without", with, bare)
	}
}

// TestNear: methods of a service share its circuit, also methods that share a slot; a circuit that was
// removed is forgotten within a millisecond.
func TestNear(t *testing.T) {
	clock := hauberktest.NewClock()
	b := breaker.New(breaker.Config{FailureThreshold: 100, MaxCircuits: 2}, breaker.WithClock(clock.Now))
	conn := hauberk.Must(hauberk.New(b)).ClientConn(hauberktest.Conn{Outcome: func(string) error {
		return status.Error(codes.Unavailable, "down")
	}})
	call := func(method string) { _ = conn.Invoke(t.Context(), method, reply, reply) }
	want := func(service string, failures int) {
		t.Helper()
		if got := b.Failures()[service]; got != failures {
			t.Errorf("%d failures of %s, want %d", got, service, failures)
		}
	}
	for range 3 {
		for _, method := range []string{"/a/xy", "/a/zy", "/b/xy", "/a/q"} { // the first three share a slot
			call(method)
		}
	}
	want("a", 9)
	want("b", 3)
	clock.Advance(time.Second)
	call("/c/xy") // removes a or b
	call("/d/xy")
	clock.Advance(time.Second)
	call("/a/xy")
	want("a", 1)
	if err := conn.Invoke(t.Context(), "", reply, reply); err == nil {
		t.Error("a call without a method has succeeded")
	}
}
