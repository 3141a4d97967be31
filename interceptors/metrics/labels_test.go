package metrics_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// byMetadata adds a label with the value of a key of the request metadata.
func byMetadata(name string) metrics.Option {
	return metrics.WithLabel(name, func(ctx context.Context, call *hauberk.Call) string {
		return strings.Join(call.Metadata(ctx, name), ",")
	})
}

func TestLabels(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		clock := hauberktest.NewClock()
		m := metrics.New(metrics.Config{}, metrics.WithClock(clock.Now), byMetadata("tenant"), byMetadata("zone"))
		if got := m.LabelNames(); !slices.Equal(got, []string{"tenant", "zone"}) {
			t.Fatalf("names %q", got)
		}
		isB := func(call *hauberk.Call) bool { return tenant.Get(call) == "b" }
		rejectB := hauberk.When(isB, reject(codes.Aborted, "BUSY"))
		remember := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			tenant.Set(call, strings.Join(call.Metadata(ctx, "tenant"), ","))
			return next(ctx, call)
		})
		env := c.Start(t, m, remember, rejectB, taking(clock, time.Second, 2*time.Second, 4*time.Second))
		for _, value := range []string{"a", "b", "a", ""} {
			ctx := t.Context()
			if value != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, "tenant", value, "zone", "eu")
			}
			_ = env.Call(ctx)
		}
		checkLabels(t, m.Series(), map[string][4]uint64{ // started, OK, aborted, seconds
			"a|eu": {2, 2, 0, 3}, "b|eu": {1, 0, 1, 0}, "|": {1, 1, 0, 4},
		})
		s := count(t, m, c)
		if s.Calls != 4 || s.Ended != 4 || s.InFlight != 0 || s.Codes[codes.OK] != 3 || s.Mean != 7*time.Second/4 {
			t.Errorf("the snapshot is %+v", s)
		}
	})
}

var tenant = stringKey{hauberk.NewKey[string]("tenant")}

type stringKey struct{ hauberk.Key[string] }

func (k stringKey) Get(call *hauberk.Call) string {
	s, _ := k.Key.Get(call)
	return s
}

func checkLabels(t *testing.T, all []metrics.Series, want map[string][4]uint64) {
	t.Helper()
	if len(all) != len(want) {
		t.Errorf("%d series, want %d", len(all), len(want))
	}
	for i := range all {
		s := &all[i]
		got := [4]uint64{s.Started, s.Handled[codes.OK], s.Handled[codes.Aborted], uint64(s.Sum / time.Second)}
		if name := strings.Join(s.Labels, "|"); got != want[name] {
			t.Errorf("%q has %v, want %v", name, got, want[name])
		}
		if s.InFlight() != 0 || s.Registered {
			t.Errorf("%+v", s)
		}
	}
}

// The label values of a call are those at its start. Later changes do not move the call or its
// messages to another series.
func TestLabelsAreThoseOfTheStart(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		m := metrics.New(metrics.Config{}, metrics.WithLabel("user",
			func(_ context.Context, call *hauberk.Call) string { return tenant.Get(call) }))
		write := func(v string) hauberk.Interceptor {
			return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				tenant.Set(call, v)
				return next(ctx, call)
			})
		}
		if out := c.Start(t, write("outer"), m, write("inner")).Call(t.Context(), "x", "y"); out.Err != nil {
			t.Fatal(out.Err)
		}
		all := m.Series()
		if len(all) != 1 || !slices.Equal(all[0].Labels, []string{"outer"}) || all[0].InFlight() != 0 ||
			all[0].Sent != count(t, m, c).Sent || all[0].Sent == 0 || all[0].Received == 0 {
			t.Errorf("%+v", all)
		}
	})
}

// A call for which the value of a label panics is not left in flight.
func TestLabelThatPanics(t *testing.T) {
	m := metrics.New(metrics.Config{}, metrics.WithLabel("user", func(context.Context, *hauberk.Call) string { panic("ouch") }))
	if p := apart(func() { _ = called(chainOf(t, m), hauberktest.Conn{})("/s/m") }); p != "ouch" {
		t.Errorf("panicked with %v", p)
	}
	if all := m.Series(); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}

// Sets beyond the bound count as Other in all methods. Sets within the bound have series in all
// methods.
func TestLabelSetsAreBounded(t *testing.T) {
	const limit = 10
	value := ""
	m := metrics.New(metrics.Config{MaxLabelSets: limit},
		metrics.WithLabel("a", func(context.Context, *hauberk.Call) string { return value }),
		metrics.WithLabel("b", func(context.Context, *hauberk.Call) string { return "fixed" }))
	call := called(chainOf(t, m), hauberktest.Conn{})
	for i := range 1000 {
		value = fmt.Sprint(i)
		_ = call("/s/first")
	}
	for i := range 1000 {
		value = fmt.Sprint(999 - i)
		_ = call("/s/second")
	}
	all := m.Series()
	if len(all) != 2*(limit+1) {
		t.Errorf("%d series", len(all))
	}
	for _, s := range all {
		want := uint64(1)
		if s.Labels[0] == metrics.Other {
			want = 1000 - limit
			if s.Labels[1] != metrics.Other {
				t.Errorf("labels %q", s.Labels)
			}
		}
		if s.Started != want {
			t.Errorf("%s %q has %d calls, want %d", s.Method, s.Labels, s.Started, want)
		}
	}
}

// Invalid values count as Other and are not mistaken for several values.
func TestInvalidLabelValues(t *testing.T) {
	values := []string{strings.Repeat("v", 129), "\xff", "a\xffb", strings.Repeat("v", 128), "a\nb"}
	i := 0
	m := metrics.New(metrics.Config{}, metrics.WithLabel("v", func(context.Context, *hauberk.Call) string { return values[i] }))
	call := called(chainOf(t, m), hauberktest.Conn{})
	for i = range values {
		_ = call("/s/m")
	}
	got := make(map[string]uint64)
	for _, s := range m.Series() {
		got[s.Labels[0]] = s.Started
	}
	if len(got) != 3 || got[metrics.Other] != 3 || got[values[3]] != 1 || got["a\nb"] != 1 {
		t.Errorf("values %v", got)
	}
}

// With labels, a registered method has no series before its first call. Its name is known
// nevertheless.
func TestRegisterWithLabels(t *testing.T) {
	m := metrics.New(metrics.Config{}, byMetadata("tenant"))
	m.Register(map[string]grpc.ServiceInfo{"shop.v1.Cart": {Methods: []grpc.MethodInfo{{Name: "Get", IsClientStream: true, IsServerStream: true}}}})
	if all := m.Series(); len(all) != 0 {
		t.Errorf("series %+v", all)
	}
	if s := m.Snapshot().Server.Methods; len(s) != 1 || s["/shop.v1.Cart/Get"].Calls != 0 {
		t.Errorf("methods %+v", s)
	}
	_ = unknownMethods(chainOf(t, m))("/shop.v1.Cart/Get")
	if all := m.Series(); len(all) != 1 || all[0].Service != "shop.v1.Cart" || all[0].Started != 1 {
		t.Errorf("series %+v", all)
	}
}

// The sum of latencies of a series with labels stops at the maximum time.Duration.
func TestSumOfLabelsStops(t *testing.T) {
	clock := hauberktest.NewClock()
	const long = 200 * 365 * 24 * time.Hour
	m := metrics.New(metrics.Config{}, metrics.WithClock(clock.Now), byMetadata("tenant"))
	call := called(chainOf(t, m, taking(clock, long, -long, long)), hauberktest.Conn{})
	for range 3 {
		_ = call("/s/m")
	}
	if got := m.Series()[0].Sum; got != 1<<63-1 {
		t.Errorf("sum %v", got)
	}
}

func TestLabelsConcurrently(t *testing.T) {
	const workers, calls = 4, 500
	m := metrics.New(metrics.Config{MaxLabelSets: 8}, byMetadata("tenant"))
	through := chainOf(t, m).ClientConn(hauberktest.Conn{})
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range calls {
				ctx := metadata.AppendToOutgoingContext(context.Background(), "tenant", fmt.Sprint(i%16))
				if err := through.Invoke(ctx, "/s/m", request, request); err != nil {
					t.Error(err)
				}
				m.Series()
			}
		})
	}
	wg.Wait()
	all := m.Series()
	var started uint64
	for _, s := range all {
		started += s.Started
	}
	if len(all) != 9 || started != workers*calls {
		t.Errorf("%d series, %d calls", len(all), started)
	}
}
