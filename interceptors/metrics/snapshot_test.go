package metrics_test

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// taking is an interceptor that advances the clock by the next duration in a list.
func taking(clock *hauberktest.Clock, durations ...time.Duration) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		clock.Advance(durations[0])
		durations = durations[1:]
		return next(ctx, call)
	})
}

func TestLatency(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		const n = 100
		var durations []time.Duration
		for i := range n {
			durations = append(durations, time.Duration(i+1)*time.Millisecond)
		}
		clock := hauberktest.NewClock()
		m := metrics.New(metrics.Config{}, metrics.WithClock(clock.Now))
		env := c.Start(t, m, taking(clock, durations...))
		for range n {
			if out := env.Call(t.Context()); out.Err != nil {
				t.Fatal(out.Err)
			}
		}
		s := count(t, m, c)
		if s.Mean != 50500*time.Microsecond {
			t.Errorf("mean %v", s.Mean)
		}
		checkQuantile(t, "p50", s.P50, 50*time.Millisecond)
		checkQuantile(t, "p95", s.P95, 95*time.Millisecond)
		checkQuantile(t, "p99", s.P99, 99*time.Millisecond)

		series := m.Series()[0]
		if want := []uint64{5, 5, 15, 25, 50, 0, 0, 0, 0, 0, 0, 0}; !slices.Equal(series.Buckets, want) {
			t.Errorf("buckets %v, want %v", series.Buckets, want)
		}
		if series.Sum != 5050*time.Millisecond || !series.Since.Equal(hauberktest.NewClock().Now()) {
			t.Errorf("sum %v, since %v", series.Sum, series.Since)
		}
	})
}

func checkQuantile(t *testing.T, name string, got, want time.Duration) {
	t.Helper()
	if math.Abs(float64(got-want)) > 0.0131*float64(want) {
		t.Errorf("%s is %v, want %v within 1.31 %%", name, got, want)
	}
}

// Bounds are inclusive. A negative latency counts as 0.
func TestBuckets(t *testing.T) {
	const ms = time.Millisecond
	bounds := []time.Duration{2 * ms, 4 * ms}
	clock := hauberktest.NewClock()
	m := metrics.New(metrics.Config{Buckets: bounds}, metrics.WithClock(clock.Now))
	bounds[0] = 0 // the configuration was copied
	durations := []time.Duration{-time.Hour, 0, 2 * ms, 2*ms + 1, 4 * ms, 4*ms + 1, time.Hour}
	call := called(chainOf(t, m, taking(clock, durations...)), hauberktest.Conn{})
	for range durations {
		_ = call("/s/m")
	}
	if got, want := m.Series()[0].Buckets, []uint64{3, 2, 2}; !slices.Equal(got, want) {
		t.Errorf("buckets %v, want %v", got, want)
	}
	got := m.Buckets()
	if want := []time.Duration{2 * ms, 4 * ms}; !slices.Equal(got, want) {
		t.Errorf("bounds %v, want %v", got, want)
	}
	got[0] = 0
	if m.Buckets()[0] != 2*ms {
		t.Error("Buckets returned its internal slice")
	}
}

// unaryOnly is a connection whose streams fail to open.
type unaryOnly struct{ hauberktest.Conn }

func (unaryOnly) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "unary calls only")
}

// A client can call one name as several kinds.
func TestKindsOfOneName(t *testing.T) {
	clock := hauberktest.NewClock()
	m := metrics.New(metrics.Config{}, metrics.WithClock(clock.Now))
	durations := []time.Duration{time.Second, 3 * time.Second}
	chain := chainOf(t, m, taking(clock, durations...))
	_ = called(chain, hauberktest.Conn{})("/s/m")
	through := chain.ClientConn(unaryOnly{})
	if _, err := through.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, "/s/m"); status.Code(err) != codes.Unimplemented {
		t.Fatal(err)
	}
	s := m.Snapshot().Client.Methods["/s/m"]
	if s.Calls != 2 || s.Ended != 2 || s.Errors != 1 || s.Mean != 2*time.Second || s.Sent != 1 || s.Received != 1 {
		t.Errorf("%+v", s)
	}
	checkQuantile(t, "p99", s.P99, 3*time.Second)
	if n := len(m.Series()); n != 2 {
		t.Errorf("%d series", n)
	}
}

func TestSnapshotAsJSON(t *testing.T) {
	clock := hauberktest.NewClock()
	m := metrics.New(metrics.Config{}, metrics.WithClock(clock.Now))
	outcomes := []error{nil, status.Error(codes.NotFound, "no"), status.Error(codes.NotFound, "no"), nil}
	c := hauberktest.Conn{Outcome: func(string) error {
		err := outcomes[0]
		outcomes = outcomes[1:]
		return err
	}}
	call := called(chainOf(t, m, taking(clock, 500*time.Microsecond, 0, 0, 1500*time.Microsecond)), c)
	for range 4 {
		_ = call("/shop.v1.Cart/Get")
	}
	_ = called(chainOf(t, m, reject(codes.Canceled, "TIRED")), c)("/shop.v1.Cart/Put")
	got, err := json.MarshalIndent(m.Snapshot(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != wantJSON {
		t.Errorf("got %s\nwant %s", got, wantJSON)
	}
}

const wantJSON = `{
  "server": {
    "methods": {},
    "rejections": {},
    "shadow_rejections": {},
    "remote_rejections": {}
  },
  "client": {
    "methods": {
      "/shop.v1.Cart/Get": {
        "calls": 4,
        "ended": 4,
        "in_flight": 0,
        "errors": 2,
        "codes": {
          "NOT_FOUND": 2,
          "OK": 2
        },
        "sent": 4,
        "received": 2,
        "mean_ms": 0.5,
        "p50_ms": 0.000128,
        "p95_ms": 1.482788,
        "p99_ms": 1.482788
      },
      "/shop.v1.Cart/Put": {
        "calls": 1,
        "ended": 1,
        "in_flight": 0,
        "errors": 1,
        "codes": {
          "CANCELLED": 1
        },
        "sent": 0,
        "received": 0,
        "mean_ms": 0,
        "p50_ms": 0.000128,
        "p95_ms": 0.000128,
        "p99_ms": 0.000128
      }
    },
    "rejections": {
      "TIRED": 1
    },
    "shadow_rejections": {},
    "remote_rejections": {}
  }
}`
