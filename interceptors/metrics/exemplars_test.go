package metrics_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

type traceKey struct{}

// traced is an interceptor in place of tracing.
var traced = hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return next(context.WithValue(ctx, traceKey{}, "t-"+call.Kind().String()), call)
})

func byTrace(ctx context.Context, call *hauberk.Call) map[string]string {
	id, _ := ctx.Value(traceKey{}).(string)
	return map[string]string{"trace_id": id, "side": call.Side().String()}
}

func TestExemplars(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		clock := hauberktest.NewClock()
		m := metrics.New(metrics.Config{}, metrics.WithClock(clock.Now), metrics.WithExemplars(byTrace))
		calls := 0
		failOdd := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			calls++
			if calls%2 == 1 {
				return status.Error(codes.NotFound, "no")
			}
			return next(ctx, call)
		})
		env := c.Start(t, traced, m, taking(clock, time.Millisecond, 7*time.Millisecond, time.Minute), failOdd)
		for range 3 {
			_ = env.Call(t.Context())
		}
		e := m.Series()[0].Exemplars
		labels := map[string]string{"trace_id": "t-" + c.Kind.String(), "side": c.Side.String()}
		for name, test := range map[string]struct {
			got  *metrics.Exemplar
			took time.Duration
		}{
			"NotFound": {e.Handled[codes.NotFound], time.Minute}, "OK": {e.Handled[codes.OK], 7 * time.Millisecond},
			"5 ms": {e.Buckets[0], time.Millisecond}, "10 ms": {e.Buckets[1], 7 * time.Millisecond},
			"above": {e.Buckets[len(e.Buckets)-1], time.Minute},
		} {
			if test.got == nil || test.got.Took != test.took || !maps.Equal(test.got.Labels, labels) {
				t.Errorf("%s has %+v, want %v", name, test.got, test.took)
			}
		}
		if got := e.Buckets[len(e.Buckets)-1].At; !got.Equal(clock.Now()) {
			t.Errorf("the last exemplar has the time %v", got)
		}
		if e.Handled[codes.Internal] != nil || slices.IndexFunc(e.Buckets[2:len(e.Buckets)-1], func(e *metrics.Exemplar) bool { return e != nil }) >= 0 {
			t.Errorf("unexpected exemplars: %+v", e)
		}
	})
}

// Invalid exemplars are discarded, and the latest valid one stays.
func TestInvalidExemplars(t *testing.T) {
	good := map[string]string{"trace_id": strings.Repeat("ä", 120)}
	bad := []map[string]string{
		nil,
		{},
		{"trace_id": strings.Repeat("a", 121)},
		{"trace_id": "\xff"},
		{"": "a"},
		{"1a": "a"},
		{"a-b": "a"},
		{"__a": "a"},
		{"ä": "a"},
	}
	next := good
	m := metrics.New(metrics.Config{}, metrics.WithExemplars(func(context.Context, *hauberk.Call) map[string]string { return next }))
	call := called(chainOf(t, m), hauberktest.Conn{})
	_ = call("/s/m")
	for _, next = range bad {
		_ = call("/s/m")
	}
	s := m.Series()[0]
	if e := s.Exemplars.Handled[codes.OK]; e == nil || !maps.Equal(e.Labels, good) || s.Started != uint64(1+len(bad)) {
		t.Errorf("%+v", s)
	}
	if e := metrics.New(metrics.Config{}); called(chainOf(t, e), hauberktest.Conn{})("/s/m") != nil || e.Series()[0].Exemplars != nil {
		t.Error("exemplars without WithExemplars")
	}
}

// A call whose exemplar function panics has been counted.
func TestExemplarPanics(t *testing.T) {
	m := metrics.New(metrics.Config{}, metrics.WithExemplars(func(context.Context, *hauberk.Call) map[string]string { panic("ouch") }))
	call := called(chainOf(t, m), hauberktest.Conn{})
	if p := apart(func() { _ = call("/s/m") }); p != "ouch" {
		t.Errorf("panicked with %v", p)
	}
	checkCounts(t, m.Snapshot().Client.Methods["/s/m"], 1, codes.OK)
}
