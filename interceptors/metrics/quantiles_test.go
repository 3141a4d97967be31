//go:build !race

package metrics_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// The quantiles of a Snapshot are within 2 % of the exact ones, and the mean is
// exact, over a million calls with log-normal latencies.
func TestQuantiles(t *testing.T) {
	const calls, median = 1_000_000, 5 * time.Millisecond
	for _, sigma := range []float64{0.25, 1, 2} {
		t.Run(fmt.Sprint(sigma), func(t *testing.T) {
			random := testseed.Rand(t, 0)
			samples := make([]time.Duration, calls)
			now := time.Time{}
			m := metrics.New(metrics.Config{}, metrics.WithClock(func() time.Time { return now }))
			i := 0
			call := called(chainOf(t, m, hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
				samples[i] = time.Duration(float64(median) * math.Exp(sigma*random.NormFloat64()))
				now = now.Add(samples[i])
				return nil
			})), hauberktest.Conn{})
			for ; i < calls; i++ {
				_ = call("/s/m")
			}
			checkQuantiles(t, m.Snapshot().Client.Methods["/s/m"], samples)
		})
	}
}

func checkQuantiles(t *testing.T, s metrics.MethodSnapshot, samples []time.Duration) {
	t.Helper()
	var sum time.Duration
	for _, d := range samples {
		sum += d
	}
	slices.Sort(samples)
	if mean := sum / time.Duration(len(samples)); s.Mean != mean || s.Calls != uint64(len(samples)) {
		t.Errorf("mean %v of %d calls, want %v of %d", s.Mean, s.Calls, mean, len(samples))
	}
	for q, got := range map[float64]time.Duration{0.5: s.P50, 0.95: s.P95, 0.99: s.P99} {
		exact := samples[int(math.Ceil(q*float64(len(samples))))-1]
		if e := math.Abs(float64(got-exact)) / float64(exact); e > 0.02 {
			t.Errorf("p%v is %v, want %v: differs by %.2f %%", 100*q, got, exact, 100*e)
		}
	}
}
