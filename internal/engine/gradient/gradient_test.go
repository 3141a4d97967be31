package gradient_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hauberk-rpc/hauberk/internal/engine/gradient"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		config gradient.Config
		err    string // a part of it, "" for none
	}{
		{"zero", gradient.Config{}, ""},
		{"one", gradient.Config{Min: 1, Max: 1}, ""},
		{"least above the default of Initial", gradient.Config{Min: 2000}, ""},
		{"most below it", gradient.Config{Max: 5}, ""},
		{"negative Min", gradient.Config{Min: -1}, "Min is -1"},
		{"negative Max", gradient.Config{Max: -1}, "Max is -1"},
		{"Max below Min", gradient.Config{Min: 9, Max: 8}, "Max is 8"},
		{"absurd Max", gradient.Config{Max: math.MaxInt}, "Max is 9223372036854775807"},
		{"absurd Min", gradient.Config{Min: math.MaxInt}, "Min is 9223372036854775807"},
		{"Initial above Max", gradient.Config{Initial: 50, Max: 40}, "Initial is 50"},
		{"low Tolerance", gradient.Config{Tolerance: 1}, "Tolerance is 1"},
		{"infinite Tolerance", gradient.Config{Tolerance: math.Inf(1)}, "Tolerance is +Inf"},
		{"no Tolerance", gradient.Config{Tolerance: math.NaN()}, "Tolerance is NaN"},
		{"short Window", gradient.Config{Window: 1}, "Window is 1ns"},
		{"negative Window", gradient.Config{Window: -time.Second}, "Window is -1s"},
		{"ProbeEvery below Window", gradient.Config{ProbeEvery: time.Millisecond}, "ProbeEvery is 1ms"},
	} {
		err := c.config.WithDefaults().Validate()
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %q", c.name, err, c.err)
		}
	}
}

// feed records calls that use the limit, 500 a second, in a number of fifths of a second. A call has the
// duration d of the limit at its end.
func feed(l *gradient.Limit, now *time.Duration, fifths int, d func(limit int) time.Duration, o gradient.Outcome) {
	for range 100 * fifths {
		*now += 2 * time.Millisecond
		limit := l.Value()
		l.Record(*now-d(limit), *now, limit, o)
	}
}

// A server with eight workers, whose calls queue if there are more, gets a limit near that, whether
// the limit begins below or far above.
func TestFindsWorkers(t *testing.T) {
	for _, initial := range []int{4, 20, 200} {
		l, now := gradient.New(gradient.Config{Initial: initial, Min: 2}), time.Hour
		service := 20 * time.Millisecond
		duration := func(limit int) time.Duration { return service * time.Duration(max(limit, 8)) / 8 }
		feed(l, &now, 200, duration, gradient.Success)
		if got := l.Value(); got < 4 || got > 20 {
			t.Errorf("from %d: the limit is %d, want about 8 to 16", initial, got)
		}
		if got := l.Baseline(); got < service*8/10 || got > service*13/10 {
			t.Errorf("from %d: the baseline is %v, want %v", initial, got, service)
		}
		service *= 10
		feed(l, &now, 100, duration, gradient.Success)
		if got := l.Value(); got < 4 || got > 20 {
			t.Errorf("from %d, ten times slower: the limit is %d, want about 8 to 16", initial, got)
		}
	}
}

// A limit follows the server also after the clock was set back.
func TestClockSetBack(t *testing.T) {
	l, now := gradient.New(gradient.Config{Min: 2}), 2*time.Hour
	workers := func(n int) func(limit int) time.Duration {
		return func(limit int) time.Duration {
			return 20 * time.Millisecond * time.Duration(max(limit, n)) / time.Duration(n)
		}
	}
	feed(l, &now, 300, workers(40), gradient.Success)
	before := l.Value()
	l.Record(now, now-time.Hour, before, gradient.Success) // a call during which it was set back
	now -= time.Hour
	feed(l, &now, 300, workers(8), gradient.Success)
	if after := l.Value(); before < 35 || after > 30 {
		t.Errorf("the limit of 40 workers is %d, and of 8 of them %d after the clock was set back", before, after)
	}
}

// A limit that is not used does not grow, however fast the calls are.
func TestUnused(t *testing.T) {
	l, now := gradient.New(gradient.Config{}), time.Duration(0)
	for range 10_000 {
		now += time.Millisecond
		l.Record(now-time.Millisecond, now, 3, gradient.Success)
	}
	if got := l.Value(); got != gradient.DefaultInitial {
		t.Errorf("the limit is %d, want %d", got, gradient.DefaultInitial)
	}
}

// Overload lowers the limit to Min; calls that say nothing do not change it.
func TestOutcomes(t *testing.T) {
	fast := func(int) time.Duration { return time.Millisecond }
	l, now := gradient.New(gradient.Config{}), time.Duration(0)
	feed(l, &now, 100, fast, gradient.Ignored)
	if got := l.Value(); got != gradient.DefaultInitial {
		t.Errorf("after ignored calls the limit is %d", got)
	}
	feed(l, &now, 100, fast, gradient.Overload)
	if got := l.Value(); got != gradient.DefaultMin {
		t.Errorf("after overload the limit is %d", got)
	}
	feed(l, &now, 50, fast, gradient.Success)
	if got := l.Value(); got < 10*gradient.DefaultMin {
		t.Errorf("after fast calls the limit is %d", got)
	}
}

// For any reports of calls the limit stays within Min and Max, and the clock may be set back.
func TestBounds(t *testing.T) {
	testseed.Check(t, func(r *rapid.T) {
		c := gradient.Config{Min: rapid.IntRange(1, 10).Draw(r, "min"), Window: time.Millisecond}
		c.Max = c.Min + rapid.IntRange(0, 50).Draw(r, "max")
		l := gradient.New(c)
		for range rapid.IntRange(0, 300).Draw(r, "calls") {
			now := time.Duration(rapid.Int64().Draw(r, "now"))
			began := time.Duration(rapid.Int64().Draw(r, "began"))
			limit, _ := l.Record(began, now, rapid.IntRange(-1, 100).Draw(r, "in flight"), gradient.Outcome(rapid.IntRange(0, 4).Draw(r, "outcome")))
			if limit < c.Min || limit > c.Max || limit != l.Value() {
				r.Fatalf("the limit is %d, want %d to %d", limit, c.Min, c.Max)
			}
		}
	})
}

// Record allocates nothing.
func TestAllocations(t *testing.T) {
	l, now := gradient.New(gradient.Config{}), time.Duration(0)
	if got := testing.AllocsPerRun(1000, func() {
		now += 10 * time.Millisecond
		l.Record(now-time.Millisecond, now, 20, gradient.Success)
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkRecord(b *testing.B) {
	l, now := gradient.New(gradient.Config{}), time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		now += 10 * time.Microsecond
		l.Record(now-time.Millisecond, now, 20, gradient.Success)
	}
}
