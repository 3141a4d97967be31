package backoff_test

import (
	"math"
	"math/big"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hauberk-rpc/hauberk/internal/engine/backoff"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

const ms = time.Millisecond

func TestNew(t *testing.T) {
	for _, c := range []struct {
		name   string
		config backoff.Config
		err    string
	}{
		{"zero", backoff.Config{}, ""},
		{"gRFC A6", backoff.Config{Initial: 100 * ms, Max: time.Second, Multiplier: 2, Jitter: 0.2}, ""},
		{"full jitter", backoff.Config{Initial: 100 * ms, FullJitter: true}, ""},
		{"greatest", backoff.Config{Initial: math.MaxInt64, Max: math.MaxInt64, Multiplier: math.MaxFloat64, Jitter: 1}, ""},
		{"initial", backoff.Config{Initial: -1}, "backoff: initial delay of -1ns; want 0 or more"},
		{"max", backoff.Config{Max: -time.Second}, "backoff: greatest delay of -1s; want 0 for none, or more"},
		{
			"max below initial",
			backoff.Config{Initial: time.Second, Max: 999 * ms},
			"backoff: greatest delay of 999ms; want at least the initial delay, 1s",
		},
		{"shrinking", backoff.Config{Multiplier: 0.5}, ""},
		{"negative", backoff.Config{Multiplier: -2}, "backoff: multiplier of -2; want a number above 0, or 0 for 2"},
		{"infinite", backoff.Config{Multiplier: math.Inf(1)}, "backoff: multiplier of +Inf; want a number above 0, or 0 for 2"},
		{"no number", backoff.Config{Multiplier: math.NaN()}, "backoff: multiplier of NaN; want a number above 0, or 0 for 2"},
		{"jitter", backoff.Config{Jitter: -0.1}, "backoff: jitter of -0.1; want 0 to 1"},
		{"much jitter", backoff.Config{Jitter: 1.1}, "backoff: jitter of 1.1; want 0 to 1"},
		{"jitter is no number", backoff.Config{Jitter: math.NaN()}, "backoff: jitter of NaN; want 0 to 1"},
		{
			"both jitters",
			backoff.Config{Jitter: 0.2, FullJitter: true},
			"backoff: jitter of 0.2 and full jitter; want one of them",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := backoff.New(c.config)
			if c.err == "" && err != nil || c.err != "" && (err == nil || err.Error() != c.err) {
				t.Fatalf("error %v, want %q", err, c.err)
			}
			if (b == nil) != (err != nil) {
				t.Errorf("backoff %v with error %v", b, err)
			}
		})
	}
}

func TestDelay(t *testing.T) {
	at := func(x float64) func() float64 { return func() float64 { return x } }
	const most = math.MaxInt64
	for _, c := range []struct {
		name   string
		config backoff.Config
		want   map[int]time.Duration // by attempts
	}{
		{"none", backoff.Config{}, map[int]time.Duration{1: 0, 2: 0, 1e9: 0}},
		{"none, with a limit", backoff.Config{Max: time.Second, Jitter: 0.2}, map[int]time.Duration{1: 0, 1e9: 0}},
		{"doubling", backoff.Config{Initial: 100 * ms}, map[int]time.Duration{
			math.MinInt: 100 * ms, -1: 100 * ms, 0: 100 * ms, 1: 100 * ms, 2: 200 * ms, 3: 400 * ms, 11: 102400 * ms,
			40: most, 1e9: most, math.MaxInt: most,
		}},
		{"limited", backoff.Config{Initial: 100 * ms, Max: time.Second}, map[int]time.Duration{
			4: 800 * ms, 5: time.Second, 6: time.Second, 1e9: time.Second, math.MaxInt: time.Second,
		}},
		{"slower", backoff.Config{Initial: 100 * ms, Max: time.Minute, Multiplier: 1.5}, map[int]time.Duration{
			1: 100 * ms, 2: 150 * ms, 3: 225 * ms, 1e9: time.Minute,
		}},
		{"shrinking", backoff.Config{Initial: 100 * ms, Multiplier: 0.5}, map[int]time.Duration{
			1: 100 * ms, 2: 50 * ms, 3: 25 * ms, 1e9: 0,
		}},
		{"constant", backoff.Config{Initial: 100 * ms, Multiplier: 1}, map[int]time.Duration{1: 100 * ms, 1e9: 100 * ms}},
		{"least factor", backoff.Config{Initial: 100 * ms, Max: time.Second, Jitter: 0.2, Random: at(0)}, map[int]time.Duration{
			1: 80 * ms, 2: 160 * ms, 1e9: 800 * ms,
		}},
		{"middle factor", backoff.Config{Initial: 100 * ms, Max: time.Second, Jitter: 0.2, Random: at(0.5)}, map[int]time.Duration{
			1: 100 * ms, 2: 200 * ms, 1e9: time.Second,
		}},
		{"greatest factor", backoff.Config{Initial: 100 * ms, Max: time.Second, Jitter: 0.2, Random: at(1)}, map[int]time.Duration{
			1: 120 * ms, 2: 240 * ms, 1e9: 1200 * ms,
		}},
		{"full, least", backoff.Config{Initial: 100 * ms, Max: time.Second, FullJitter: true, Random: at(0)}, map[int]time.Duration{
			1: 0, 1e9: 0,
		}},
		{"full, middle", backoff.Config{Initial: 100 * ms, Max: time.Second, FullJitter: true, Random: at(0.5)}, map[int]time.Duration{
			1: 50 * ms, 2: 100 * ms, 1e9: 500 * ms,
		}},
		{"random too great", backoff.Config{Initial: 100 * ms, Jitter: 0.5, Random: at(math.Inf(1))}, map[int]time.Duration{
			1: 150 * ms, 1e9: most,
		}},
		{"random too small", backoff.Config{Initial: 100 * ms, Jitter: 0.5, Random: at(-7)}, map[int]time.Duration{1: 50 * ms}},
		{"random is no number", backoff.Config{Initial: 100 * ms, Jitter: 0.5, Random: at(math.NaN())}, map[int]time.Duration{1: 50 * ms}},
		{"exact limit", backoff.Config{Initial: most - 1, Max: most - 1}, map[int]time.Duration{1: most - 1, 9: most - 1}},
		{"centuries", backoff.Config{Initial: most, Max: most, Jitter: 1, Random: at(1)}, map[int]time.Duration{1: most, 1e9: most}},
	} {
		b := must(t, c.config)
		for attempts, want := range c.want {
			if got := b.Delay(attempts); got != want {
				t.Errorf("%s: after %d attempts %v, want %v", c.name, attempts, got, want)
			}
		}
	}
}

// No delay is longer than Max·(1+Jitter), also if a float64 cannot represent Max: it would
// round up.
func TestGreatestDelay(t *testing.T) {
	greatest := func() float64 { return 1 }
	for _, most := range []time.Duration{1<<53 + 1, 1<<53 + 3, 36028797018963973, 1<<60 + 127, 1<<62 - 1, math.MaxInt64} {
		for _, jitter := range []float64{0, math.SmallestNonzeroFloat64, 1.0 / 3, 0.5, math.Nextafter(1, 0), 1} {
			b := must(t, backoff.Config{Initial: most, Max: most, Jitter: jitter, Random: greatest})
			if d := b.Delay(1); longer(d, most, jitter) || d < most-rounding(most) {
				t.Errorf("%d, longer by %v: %d", most, jitter, d)
			}
		}
	}
}

// The default source covers the range of factors evenly.
func TestSpread(t *testing.T) {
	for name, c := range map[string]struct {
		config      backoff.Config
		least, most time.Duration
	}{
		"gRFC A6": {backoff.Config{Initial: time.Second, Jitter: 0.2}, 800 * ms, 1200 * ms},
		"full":    {backoff.Config{Initial: time.Second, FullJitter: true}, 0, time.Second},
	} {
		b := must(t, c.config)
		const draws, parts = 10_000, 10
		var counts [parts]int
		for range draws {
			d := b.Delay(1)
			if d < c.least || d >= c.most {
				t.Fatalf("%s: %v, want %v up to %v", name, d, c.least, c.most)
			}
			counts[(d-c.least)*parts/(c.most-c.least)]++
		}
		for i, n := range counts { // the standard deviation is 30
			if n < draws/parts-300 || n > draws/parts+300 {
				t.Errorf("%s: %d of %d delays in tenth %d", name, n, draws, i)
			}
		}
	}
}

func TestConcurrent(t *testing.T) {
	b := must(t, backoff.Config{Initial: ms, Max: time.Second, Jitter: 0.2})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 1000 {
				if d := b.Delay(i); d < 800*time.Microsecond || d > 1200*ms {
					t.Errorf("after %d attempts %v", i, d)
				}
			}
		})
	}
	wg.Wait()
}

func TestAllocations(t *testing.T) {
	b := must(t, backoff.Config{Initial: ms, Max: time.Second, Jitter: 0.2})
	if n := testing.AllocsPerRun(100, func() { b.Delay(5) }); n != 0 {
		t.Errorf("Delay allocates %v times", n)
	}
}

// Delays never shrink with attempts, and with jitter stay around those without.
func TestGrowth(t *testing.T) {
	testseed.Check(t, func(t *rapid.T) {
		plain := backoff.Config{
			Initial:    time.Duration(rapid.Int64Min(0).Draw(t, "initial")),
			Multiplier: rapid.Float64Range(1, 1e6).Draw(t, "multiplier"),
		}
		plain.Max = time.Duration(rapid.Int64Min(max(int64(plain.Initial), 1)).Draw(t, "max"))
		random := rapid.Float64Range(0, 1).Draw(t, "random")
		jittered, full := plain, plain
		jittered.Jitter = rapid.Float64Range(0, 1).Draw(t, "jitter")
		jittered.Random = func() float64 { return random }
		full.FullJitter, full.Random = true, jittered.Random
		base, around, below := must(t, plain), must(t, jittered), must(t, full)
		var last time.Duration
		for _, attempts := range []int{1, 2, 3, 10, 100, 1e9} {
			d := base.Delay(attempts)
			if d < last || d < plain.Initial-rounding(plain.Initial) || d > plain.Max {
				t.Fatalf("after %d attempts %d, after %d before", attempts, d, last)
			}
			last = d
			if got := around.Delay(attempts); off(got, product(d, 1-jittered.Jitter, 2*jittered.Jitter, random)) {
				t.Fatalf("%d with jitter %v at %v, %d without", got, jittered.Jitter, random, d)
			}
			if got := below.Delay(attempts); off(got, product(d, 0, 1, random)) {
				t.Fatalf("%d with full jitter at %v, %d without", got, random, d)
			}
		}
	})
}

// off reports whether got differs from want by more than rounding, to nanoseconds and of
// floating point. A want beyond the greatest Duration counts as the greatest.
func off(got time.Duration, want float64) bool {
	want = min(want, math.MaxInt64)
	return math.Abs(float64(got)-want) > 1+float64(rounding(time.Duration(min(want, 1<<62))))
}

// product returns d·(low + span·random), rounded once: if low + span·random is close to 0,
// a subtraction of float64 numbers would lose most digits.
func product(d time.Duration, low, span, random float64) float64 {
	exact := func(x float64) *big.Float { return new(big.Float).SetPrec(4096).SetFloat64(x) }
	factor := new(big.Float).Mul(exact(span), exact(random))
	factor.Add(factor, exact(low))
	want, _ := factor.Mul(factor, new(big.Float).SetInt64(int64(d))).Float64()
	return want
}

func rounding(d time.Duration) time.Duration { return d>>50 + 1 }

// FuzzDelay checks the bounds of any Backoff.
func FuzzDelay(f *testing.F) {
	f.Add(int64(100*ms), int64(time.Second), 2.0, 0.2, false, 0.7, 3)
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64), 1e300, 1.0, false, 1.0, 1_000_000_000)
	f.Add(int64(0), int64(0), 0.0, 0.0, true, math.NaN(), math.MinInt)
	f.Fuzz(func(t *testing.T, initial, most int64, multiplier, jitter float64, full bool, random float64, attempts int) {
		b, err := backoff.New(backoff.Config{
			Initial: time.Duration(initial), Max: time.Duration(most),
			Multiplier: multiplier, Jitter: jitter, FullJitter: full, Random: func() float64 { return random },
		})
		if err != nil {
			return
		}
		if most == 0 {
			most = math.MaxInt64
		}
		if d := b.Delay(attempts); d < 0 || longer(d, time.Duration(most), jitter) {
			t.Errorf("after %d attempts %d, want 0 to %d, longer by %v", attempts, d, most, jitter)
		}
	})
}

// longer reports whether d is more than most·(1+jitter), in exact arithmetic.
func longer(d, most time.Duration, jitter float64) bool {
	limit := new(big.Rat).SetFloat64(jitter)
	limit.Add(limit, big.NewRat(1, 1))
	limit.Mul(limit, new(big.Rat).SetInt64(int64(most)))
	return new(big.Rat).SetInt64(int64(d)).Cmp(limit) > 0
}

func must(t interface {
	Helper()
	Fatal(args ...any)
}, c backoff.Config,
) *backoff.Backoff {
	t.Helper()
	b, err := backoff.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
