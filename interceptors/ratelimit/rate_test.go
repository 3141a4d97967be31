package ratelimit_test

import (
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// offer makes calls of one key at each of some times, and returns the times of those
// that passed.
func offer(t *testing.T, c ratelimit.Config, times []time.Duration) []time.Duration {
	t.Helper()
	clock := hauberktest.NewClock() // at the start of a minute
	serve, last := server(t, ratelimit.New(c, ratelimit.WithClock(clock.Now))), time.Duration(0)
	var passed []time.Duration
	for _, at := range times {
		clock.Advance(at - last)
		last = at
		if serve(t.Context()) == nil {
			passed = append(passed, at)
		}
	}
	return passed
}

func repeat(n int, at ...time.Duration) []time.Duration {
	var times []time.Duration
	for _, d := range at {
		for range n {
			times = append(times, d)
		}
	}
	return times
}

// Around the edge of a minute only fixed windows let twice the limit pass.
func TestWindowEdge(t *testing.T) {
	for a, want := range map[ratelimit.Algorithm]int{
		ratelimit.GCRA: 10, ratelimit.SlidingWindow: 10, ratelimit.FixedWindow: 20,
	} {
		c := ratelimit.Config{Limit: 10, Per: time.Minute, Algorithm: a}
		if got := len(offer(t, c, repeat(15, 59_900*time.Millisecond, 60_100*time.Millisecond))); got != want {
			t.Errorf("%s: %d calls passed, want %d", a, got, want)
		}
	}
}

// Five times the rate for a minute: the limit is used to the last permit and never
// exceeded, in any stretch of time.
func TestOverload(t *testing.T) {
	const limit, burst, rate = 100, 20, 500 // each second
	random := testseed.Rand(t, 0)
	var times []time.Duration
	for at := time.Duration(0); at < time.Minute; at += time.Duration(random.Int64N(2 * int64(time.Second) / rate)) {
		times = append(times, at)
	}
	for _, c := range []struct {
		config ratelimit.Config
		least  int
		most   func(stretch time.Duration) int
	}{
		{
			ratelimit.Config{Limit: limit, Per: time.Second, Burst: burst},
			(limit*60 + burst) * 99 / 100,
			func(d time.Duration) int { return int(d*limit/time.Second) + burst },
		},
		{
			ratelimit.Config{Limit: limit, Per: time.Second, Algorithm: ratelimit.SlidingWindow},
			limit * 60 * 99 / 100,
			func(d time.Duration) int { return (int(d/time.Second) + 1) * limit },
		},
		{
			ratelimit.Config{Limit: limit, Per: time.Second, Algorithm: ratelimit.FixedWindow},
			limit * 60,
			func(d time.Duration) int { return (int(d/time.Second) + 2) * limit },
		},
	} {
		passed := offer(t, c.config, times)
		if len(passed) < c.least {
			t.Errorf("%s: %d calls passed, want at least %d", c.config.Algorithm, len(passed), c.least)
		}
		wantBounded(t, c.config.Algorithm, passed, c.most)
	}
}

// wantBounded looks at every stretch of time between two calls that passed.
func wantBounded(t *testing.T, a ratelimit.Algorithm, passed []time.Duration, most func(time.Duration) int) {
	t.Helper()
	for i := range passed {
		for j := i; j < len(passed); j++ {
			if d := passed[j] - passed[i]; j-i+1 > most(d) {
				t.Fatalf("%s: %d calls passed in %v, want at most %d", a, j-i+1, d, most(d))
			}
		}
	}
}
