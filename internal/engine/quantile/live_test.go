package quantile_test

import (
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hauberk-rpc/hauberk/internal/engine/quantile"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

func live(q float64, window time.Duration, least int) *quantile.Live {
	return quantile.NewLive(quantile.LiveConfig{Quantile: q, Window: window, Least: least})
}

// The quantile is that of the durations of the current window and of the one before, as soon
// as there are enough.
func TestLiveWindows(t *testing.T) {
	const window = time.Minute
	l := live(0.9, window, 10)
	want := func(now, want time.Duration) {
		t.Helper()
		got, ok := l.Value(now)
		if ok != (want > 0) || ok && math.Abs(float64(got-want)) > quantile.RelativeError*float64(want) {
			t.Errorf("at %v the quantile is %v, %t; want %v", now, got, ok, want)
		}
	}
	want(0, 0)
	for i := range 9 {
		l.Record(0, time.Duration(i+1)*time.Millisecond)
	}
	want(time.Second, 0)
	l.Record(time.Second, 10*time.Millisecond)
	want(3*time.Second, 9*time.Millisecond)
	for range 90 {
		l.Record(window, time.Second)
	}
	want(window+time.Second, time.Second)
	for range 10 {
		l.Record(2*window, time.Millisecond)
	}
	want(2*window+time.Second, time.Second) // the window before counts
	for range 10 {
		l.Record(3*window, time.Millisecond)
	}
	want(3*window+time.Second, time.Millisecond)
	want(4*window+time.Second, time.Millisecond)
	want(5*window+time.Second, 0)
	l.Record(20*window, time.Millisecond)
	want(20*window+time.Second, 0)
}

// Live agrees with a list of durations and the times at which they were recorded.
func TestLiveAgainstModel(t *testing.T) {
	testseed.Check(t, func(t *rapid.T) {
		const window = 640 * time.Millisecond
		q := rapid.Float64Range(0.01, 0.99).Draw(t, "quantile")
		least := rapid.IntRange(1, 20).Draw(t, "least")
		l := live(q, window, least)
		var now, begun time.Duration
		var current, previous []time.Duration
		begin := func() {
			switch {
			case now < begun+window && begun > 0:
				return
			case now < begun+2*window && begun > 0:
				previous = current
			default:
				previous = nil
			}
			current, begun = nil, now
		}
		now = window
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(0, 700).Draw(t, "ms")) * time.Millisecond
			for range rapid.IntRange(0, 5).Draw(t, "records") {
				begin()
				d := time.Duration(rapid.IntRange(1, 1000).Draw(t, "duration")) * time.Millisecond
				current = append(current, d)
				l.Record(now, d)
			}
			now += window / 64 // so that the value is computed again
			var counted []time.Duration
			switch {
			case begun == 0 || now >= begun+2*window:
			case now >= begun+window:
				counted = slices.Clone(current)
			default:
				counted = slices.Concat(current, previous)
			}
			got, ok := l.Value(now)
			if ok != (len(counted) >= least) {
				t.Fatalf("%d of %d durations, and the value is known: %t", len(counted), least, ok)
			}
			if !ok {
				continue
			}
			slices.Sort(counted)
			rank := min(max(int(math.Ceil(q*float64(len(counted)))), 1), len(counted))
			want := counted[rank-1]
			if math.Abs(float64(got-want)) > quantile.RelativeError*float64(want) {
				t.Fatalf("quantile %v of %v is %v; want %v", q, counted, got, want)
			}
		}
	})
}

// The value is computed at most 64 times per window.
func TestLiveIsCached(t *testing.T) {
	l := live(0.5, 64*time.Second, 1)
	l.Record(0, time.Millisecond)
	first, _ := l.Value(0)
	l.Record(0, time.Hour)
	l.Record(0, time.Hour)
	if again, _ := l.Value(time.Second - 1); again != first {
		t.Errorf("the value changed from %v to %v within a second", first, again)
	}
	if later, _ := l.Value(time.Second); later < time.Minute {
		t.Errorf("the value is %v after a second", later)
	}
}

func TestLiveConcurrently(t *testing.T) {
	l := live(0.5, time.Millisecond, 1)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 2000 {
				now := time.Duration(i) * 10 * time.Microsecond
				l.Record(now, time.Millisecond)
				if d, ok := l.Value(now); ok && (d-time.Millisecond).Abs() > 20*time.Microsecond {
					t.Errorf("the median is %v", d)
				}
			}
		})
	}
	all.Wait()
}

func TestLiveAllocations(t *testing.T) {
	l, now := live(0.5, time.Hour, 1), time.Duration(0)
	l.Record(0, 1)
	if n := testing.AllocsPerRun(100, func() {
		now += time.Second
		l.Record(now, time.Millisecond)
		l.Value(now)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLiveConfig(t *testing.T) {
	good := quantile.LiveConfig{Quantile: 0.5, Window: time.Second, Least: 1}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(c *quantile.LiveConfig){
		"0":         func(c *quantile.LiveConfig) { c.Quantile = 0 },
		"1":         func(c *quantile.LiveConfig) { c.Quantile = 1 },
		"NaN":       func(c *quantile.LiveConfig) { c.Quantile = math.NaN() },
		"no window": func(c *quantile.LiveConfig) { c.Window = 0 },
		"no least":  func(c *quantile.LiveConfig) { c.Least = 0 },
	} {
		c := good
		spoil(&c)
		if c.Validate() == nil {
			t.Errorf("%s is valid", name)
		}
	}
}
