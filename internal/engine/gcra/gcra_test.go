package gcra_test

import (
	"math"
	"math/big"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/hauberk-rpc/hauberk/internal/engine/gcra"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

func TestSize(t *testing.T) {
	if size := unsafe.Sizeof(gcra.Bucket{}); size != 8 {
		t.Errorf("a Bucket takes %d bytes, want 8", size)
	}
}

func TestNew(t *testing.T) {
	for _, c := range []struct {
		name    string
		permits int
		per     time.Duration
		burst   int
		err     string
	}{
		{"one", 1, 1, 1, ""},
		{"ordinary", 100, time.Minute, 20, ""},
		{"bytes", 1 << 30, time.Second, 1 << 40, ""},
		{"century", 1, 50 * 365 * 24 * time.Hour, 1, ""},
		{"no permits", 0, time.Second, 1, "gcra: limit of 0 permits; want at least 1"},
		{"negative permits", -5, time.Second, 1, "gcra: limit of -5 permits; want at least 1"},
		{"no period", 1, 0, 1, "gcra: period of 0s; want more than 0"},
		{"negative period", 1, -time.Second, 1, "gcra: period of -1s; want more than 0"},
		{"no burst", 1, time.Second, 0, "gcra: burst of 0 permits; want at least 1"},
		{"fastest", 1e10, time.Second, 1, ""},
		{"too fast", 1e10 + 1, time.Second, 1, "gcra: limit of 10000000001 permits in 1s; want at most 10 a nanosecond"},
		{"greatest", math.MaxInt, 1, 1, "gcra: limit of 9223372036854775807 permits in 1ns; want at most 10 a nanosecond"},
		{
			"absurd burst", 1, time.Second, math.MaxInt,
			"gcra: burst of 9223372036854775807 permits at 1 in 1s; want one that is back within 640511h56m49.213693952s",
		},
		{
			"absurd period", 1, math.MaxInt64, 1,
			"gcra: burst of 1 permits at 1 in 2562047h47m16.854775807s; want one that is back within 640511h56m49.213693952s",
		},
		{
			"absurd period, rounded", 1<<20 + 1, math.MaxInt64, 1 << 20,
			"gcra: burst of 1048576 permits at 1048577 in 2562047h47m16.854775807s; want one that is back within 625h29m59.813685248s",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			limit, err := gcra.New(c.permits, c.per, c.burst)
			if c.err == "" && err != nil || c.err != "" && (err == nil || err.Error() != c.err) {
				t.Fatalf("error %v, want %q", err, c.err)
			}
			if (limit == nil) != (err != nil) {
				t.Errorf("limit %v with error %v", limit, err)
			}
		})
	}
}

func TestBurstThenRate(t *testing.T) {
	limit := must(t, 7, time.Minute, 7) // not a whole number of nanoseconds for each
	var b gcra.Bucket
	for i := range 7 {
		want := gcra.Decision{OK: true, Remaining: 6 - i, ResetAfter: nanos(int64(i+1)*60e9, 7)}
		if got := b.Allow(limit, time.Hour, 1); got != want {
			t.Fatalf("permit %d: %+v, want %+v", i, got, want)
		}
	}
	want := gcra.Decision{RetryAfter: nanos(60e9, 7), ResetAfter: time.Minute}
	for range 3 { // the clock does not advance, and rejected requests take nothing
		if got := b.Allow(limit, time.Hour, 1); got != want {
			t.Fatalf("drained: %+v, want %+v", got, want)
		}
	}
	if got := b.Allow(limit, time.Hour+time.Minute, 7); !got.OK {
		t.Errorf("after exactly a minute: %+v, want all 7 permits", got)
	}
}

func TestPermitsAtOnce(t *testing.T) {
	limit := must(t, 10, time.Second, 20)
	for _, c := range []struct {
		name string
		n    int
		want gcra.Decision
	}{
		{"none", 0, gcra.Decision{OK: true, Remaining: 15, ResetAfter: 500 * time.Millisecond}},
		{"negative gives nothing back", -9, gcra.Decision{OK: true, Remaining: 15, ResetAfter: 500 * time.Millisecond}},
		{"least", math.MinInt, gcra.Decision{OK: true, Remaining: 15, ResetAfter: 500 * time.Millisecond}},
		{"all that are left", 15, gcra.Decision{OK: true, ResetAfter: 2 * time.Second}},
		{"one too many", 16, gcra.Decision{
			RetryAfter: 100 * time.Millisecond, Remaining: 15, ResetAfter: 500 * time.Millisecond,
		}},
		{"burst", 20, gcra.Decision{
			RetryAfter: 500 * time.Millisecond, Remaining: 15, ResetAfter: 500 * time.Millisecond,
		}},
		{"more than the burst", 21, gcra.Decision{
			RetryAfter: gcra.Never, Remaining: 15, ResetAfter: 500 * time.Millisecond,
		}},
		{"greatest", math.MaxInt, gcra.Decision{
			RetryAfter: gcra.Never, Remaining: 15, ResetAfter: 500 * time.Millisecond,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b gcra.Bucket
			b.Allow(limit, 0, 5)
			if got := b.Allow(limit, 0, c.n); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

func TestZeroLimitAdmitsNothing(t *testing.T) {
	var limit gcra.Limit
	var b gcra.Bucket
	if got, want := b.Allow(&limit, time.Second, 1), (gcra.Decision{RetryAfter: gcra.Never}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := b.Allow(&limit, time.Second, 0); !got.OK || got.Remaining != 0 {
		t.Errorf("reading the state: %+v, want OK and nothing remaining", got)
	}
}

// A reading that is a little earlier than others yields no additional permits.
func TestLateReading(t *testing.T) {
	limit := must(t, 1, time.Second, 2)
	var b gcra.Bucket
	b.Allow(limit, time.Minute, 2)
	for _, behind := range []time.Duration{1, time.Second, 10 * time.Second} {
		got := b.Allow(limit, time.Minute-behind, 1)
		want := gcra.Decision{RetryAfter: time.Second + behind, ResetAfter: 2*time.Second + behind}
		if got != want {
			t.Errorf("%v behind: %+v, want %+v", behind, got, want)
		}
	}
	if got := b.Allow(limit, time.Minute+time.Second, 1); !got.OK {
		t.Errorf("a second later: %+v, want OK", got)
	}
}

// A clock that is set back gives no fresh burst and locks no key out.
func TestClockSetBack(t *testing.T) {
	for _, back := range []time.Duration{11 * time.Second, time.Hour, 100 * 365 * 24 * time.Hour} {
		limit := must(t, 1, time.Second, 3)
		var b gcra.Bucket
		b.Allow(limit, time.Minute, 3)
		now := time.Minute - back
		if got, want := b.Allow(limit, now, 1), (gcra.Decision{RetryAfter: time.Second, ResetAfter: 3 * time.Second}); got != want {
			t.Errorf("%v back: %+v, want %+v", back, got, want)
		}
		if got := b.Allow(limit, now+3*time.Second, 3); !got.OK {
			t.Errorf("%v back and a burst later: %+v, want OK", back, got)
		}
	}
}

// Readings can have any origin, from 0 to the greatest.
func TestAnyOrigin(t *testing.T) {
	for _, permits := range []int{1, 1000, 1024, 1031} { // from 1 to 1024 ticks in a nanosecond
		for _, origin := range []time.Duration{math.MinInt64, -1, 0, 1, 1 << 53, 1767225600e9, math.MaxInt64 - 2e9} {
			limit := must(t, permits, time.Second+1, 2)
			var b gcra.Bucket
			first, second, third := b.Allow(limit, origin, 1), b.Allow(limit, origin, 1), b.Allow(limit, origin, 1)
			if !first.OK || !second.OK || third.OK {
				t.Errorf("%d permits at %d: %v %v %v, want the burst of 2", permits, origin, first.OK, second.OK, third.OK)
			}
			if got := b.Allow(limit, origin+third.RetryAfter-1, 1); got.OK {
				t.Errorf("%d permits at %d: admitted 1 ns before RetryAfter", permits, origin)
			}
			if got := b.Allow(limit, origin+third.RetryAfter, 1); !got.OK {
				t.Errorf("%d permits at %d: rejected after RetryAfter: %+v", permits, origin, got)
			}
		}
	}
}

// A bucket that is full again at the clock's 0 is still a used one.
func TestFullAtZero(t *testing.T) {
	limit := must(t, 1, time.Second, 1)
	var b gcra.Bucket
	if first, second := b.Allow(limit, -time.Second, 1), b.Allow(limit, -time.Second, 1); !first.OK || second.OK {
		t.Errorf("%v %v, want one permit", first.OK, second.OK)
	}
}

// An arrival time of exactly 0 has no special meaning: a bucket that will be full at the
// clock's 0 decides as one that will be full a second later.
func TestArrivalAtZero(t *testing.T) {
	for _, permits := range []int{1, 1000, 1024, 1031} { // from 1 to 1024 fractions of a nanosecond
		limit := must(t, permits, time.Second, 2)
		var probe gcra.Bucket
		full := probe.Allow(limit, time.Hour, 2).ResetAfter // the time that a burst takes
		for _, before := range []time.Duration{1, full / 2, full - 1} {
			var zero, later gcra.Bucket
			zero.Allow(limit, -full, 2)
			later.Allow(limit, time.Second-full, 2)
			got, want := zero.Allow(limit, -before, 1), later.Allow(limit, time.Second-before, 1)
			if got != want {
				t.Errorf("%d permits, %v before 0: %+v, want %+v", permits, before, got, want)
			}
		}
	}
}

func TestAllocations(t *testing.T) {
	limit := must(t, 100, time.Second, 10)
	var b gcra.Bucket
	var now time.Duration
	if n := testing.AllocsPerRun(1000, func() { now += time.Millisecond; b.Allow(limit, now, 1) }); n != 0 {
		t.Errorf("Allow allocates %v times", n)
	}
}

// Allow decides as a bucket of tokens that is filled continuously, in exact arithmetic.
func TestAgainstTokenBucket(t *testing.T) {
	testseed.Check(t, func(t *rapid.T) {
		permits := rapid.OneOf(rapid.IntRange(1, 1024), rapid.Map(rapid.IntRange(1, 1000), func(n int) int { return n * 1000 })).Draw(t, "permits")
		per := rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, time.Minute, time.Hour}).Draw(t, "per")
		burst := rapid.OneOf(rapid.IntRange(1, 10), rapid.Just(permits), rapid.IntRange(1, 1<<19)).Draw(t, "burst")
		limit := must(t, permits, per, burst)
		model := newTokens(permits, per, burst)
		var b gcra.Bucket
		now := time.Duration(rapid.Int64Range(-1e18, 1e18).Draw(t, "start"))
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			now += step(t, per, permits)
			n := rapid.OneOf(rapid.Just(1), rapid.IntRange(-1, burst+1)).Draw(t, "n")
			if got, want := b.Allow(limit, now, n), model.allow(now, n); got != want {
				t.Fatalf("Allow(%d, %d) = %+v, want %+v", now, n, got, want)
			}
		}
	})
}

// At most rate·t + burst permits are admitted in any time t, also if the interval is rounded,
// and at least 99 % of that under constant load.
func TestBound(t *testing.T) {
	testseed.Check(t, func(t *rapid.T) {
		permits := rapid.IntRange(1, 1e9).Draw(t, "permits")
		per := time.Duration(rapid.Int64Range(int64(permits/10+1), 1e12).Draw(t, "per"))
		burst := rapid.IntRange(1, 100).Draw(t, "burst")
		limit := must(t, permits, per, burst)
		var b gcra.Bucket
		var log []admission
		now := time.Duration(0)
		for range 100 {
			now += step(t, per, permits)
			n := rapid.IntRange(1, burst).Draw(t, "n")
			if b.Allow(limit, now, n).OK {
				log = append(log, admission{now, int64(n)})
			}
		}
		checkBound(t, log, permits, per, burst)
	})
}

func TestUnderConstantPressure(t *testing.T) {
	for _, c := range []struct {
		permits, burst int
		per            time.Duration
	}{
		{1000, 10, time.Second},
		{999, 10, time.Second},
		{1_000_003, 50, time.Hour},
		{99_999_989, 1000, time.Second}, // a prime: an interval of 10.000001 ns
	} {
		limit := must(t, c.permits, c.per, c.burst)
		var b gcra.Bucket
		var admitted, now int64
		every := max(int64(c.per)/int64(c.permits)/5, 1) // five times the rate
		for ; admitted < 100_000; now += every {
			if b.Allow(limit, time.Duration(now), 1).OK {
				admitted++
			}
		}
		most := float64(c.permits)/float64(c.per)*float64(now) + float64(c.burst)
		if ratio := float64(admitted) / most; ratio < 0.99 || ratio > 1 {
			t.Errorf("%d in %v: admitted %.5f of rate·t + burst, want 0.99 to 1", c.permits, c.per, ratio)
		}
	}
}

// Goroutines whose readings are not in order take no more than a single one could.
func TestConcurrent(t *testing.T) {
	const permits, burst, each = 1000, 50, 20_000
	limit := must(t, permits, time.Second, burst)
	var b gcra.Bucket
	var clock, admitted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range each {
				if b.Allow(limit, time.Duration(clock.Add(10_000)), 1).OK {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if most := clock.Load()*permits/1e9 + burst; admitted.Load() > most || admitted.Load() < most*99/100 {
		t.Errorf("admitted %d, want at most %d and little less", admitted.Load(), most)
	}
}

// Concurrent goroutines get exactly the burst while the clock does not advance.
func TestConcurrentBurst(t *testing.T) {
	const goroutines, burst = 8, 800_000
	limit := must(t, 1, time.Second, burst)
	var b gcra.Bucket
	var ready atomic.Int32
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for i := range goroutines {
		wg.Go(func() {
			mine, n := 0, i%3+1
			for ready.Add(1); ready.Load() < goroutines; {
				runtime.Gosched()
			}
			for range burst / goroutines {
				if b.Allow(limit, time.Minute, n).OK {
					mine += n
				}
			}
			admitted.Add(int64(mine))
		})
	}
	wg.Wait()
	for b.Allow(limit, time.Minute, 1).OK { // a rest that is too small for 2 or 3 permits
		admitted.Add(1)
	}
	if admitted.Load() != burst {
		t.Errorf("admitted %d, want %d", admitted.Load(), burst)
	}
}

// FuzzAllow checks the guarantees for any limit and any times.
func FuzzAllow(f *testing.F) {
	f.Add(10, int64(time.Second), 5, []byte{1, 1, 0, 200, 1, 2, 60, 9, 3})
	f.Add(1, int64(math.MaxInt64), 1, []byte{255, 63, 1})
	f.Add(1_000_003, int64(time.Hour), math.MaxInt, []byte{0, 0, 0})
	f.Add(1031, int64(time.Second)+1, 3, []byte("0123456789abcdef"))
	f.Fuzz(func(t *testing.T, permits int, per int64, burst int, moves []byte) {
		limit, err := gcra.New(permits, time.Duration(per), burst)
		if err != nil {
			return
		}
		var b gcra.Bucket
		var log []admission
		var now time.Duration
		for ; len(moves) >= 3 && len(log) < 200; moves = moves[3:] {
			now = min(now+time.Duration(moves[0])<<(moves[1]%64)&math.MaxInt64, 1<<52)
			n := int(int8(moves[2]))
			d := b.Allow(limit, now, n)
			checkDecision(t, d, n, burst)
			if d.OK && n > 0 {
				log = append(log, admission{now, int64(n)})
			}
			if !d.OK && d.RetryAfter < 1<<52 {
				checkRetryAfter(t, limit, &b, now, d.RetryAfter, n)
			}
		}
		checkBound(t, log, permits, time.Duration(per), burst)
	})
}

func checkDecision(t *testing.T, d gcra.Decision, n, burst int) {
	t.Helper()
	if d.Remaining < 0 || d.Remaining > burst || d.ResetAfter < 0 || d.RetryAfter < 0 {
		t.Errorf("%+v of %d permits, burst %d", d, n, burst)
	}
	if d.OK != (d.RetryAfter == 0) || !d.OK && (n <= 0 || n <= d.Remaining) || (d.RetryAfter == gcra.Never) != (n > burst) {
		t.Errorf("%+v of %d permits, burst %d", d, n, burst)
	}
}

// checkRetryAfter requests permits from copies of b, once a nanosecond too early and once in
// time. The first request must be rejected, the second admitted.
func checkRetryAfter(t *testing.T, limit *gcra.Limit, b *gcra.Bucket, now, wait time.Duration, n int) {
	t.Helper()
	for early := range time.Duration(2) {
		var twin gcra.Bucket
		*(*int64)(unsafe.Pointer(&twin)) = *(*int64)(unsafe.Pointer(b))
		if got := twin.Allow(limit, now+wait-early, n); got.OK != (early == 0) {
			t.Errorf("%d ns before RetryAfter %v: %+v", early, wait, got)
		}
	}
}

type admission struct {
	at time.Duration
	n  int64
}

// checkBound compares the permits in each interval of time with rate·t + burst, exactly.
func checkBound(t rapid.TB, log []admission, permits int, per time.Duration, burst int) {
	t.Helper()
	for i := range log {
		sum := new(big.Int)
		for _, last := range log[i:] {
			sum.Add(sum, big.NewInt(last.n))
			over := new(big.Int).Mul(new(big.Int).Sub(sum, big.NewInt(int64(burst))), big.NewInt(int64(per)))
			allowed := new(big.Int).Mul(big.NewInt(int64(last.at-log[i].at)), big.NewInt(int64(permits)))
			if over.Cmp(allowed) > 0 {
				t.Fatalf("%v permits from %d to %d; limit %d in %v, burst %d", sum, log[i].at, last.at, permits, per, burst)
			}
		}
	}
}

// tokens is a textbook token bucket.
type tokens struct {
	rate, level, burst *big.Rat
	last               time.Duration
	used               bool
}

func newTokens(permits int, per time.Duration, burst int) *tokens {
	full := new(big.Rat).SetInt64(int64(burst))
	return &tokens{rate: big.NewRat(int64(permits), int64(per)), level: full, burst: full}
}

func (m *tokens) allow(now time.Duration, n int) gcra.Decision {
	if m.used {
		m.level = new(big.Rat).Add(m.level, m.worth(now-m.last))
		if m.level.Cmp(m.burst) > 0 {
			m.level = m.burst
		}
	}
	m.last, m.used = now, true
	want := new(big.Rat).SetInt64(int64(max(n, 0)))
	d := gcra.Decision{OK: want.Cmp(m.level) <= 0}
	switch {
	case d.OK:
		m.level = new(big.Rat).Sub(m.level, want)
	case want.Cmp(m.burst) > 0:
		d.RetryAfter = gcra.Never
	default:
		d.RetryAfter = m.time(new(big.Rat).Sub(want, m.level))
	}
	d.Remaining = int(new(big.Int).Quo(m.level.Num(), m.level.Denom()).Int64())
	d.ResetAfter = m.time(new(big.Rat).Sub(m.burst, m.level))
	return d
}

func (m *tokens) worth(d time.Duration) *big.Rat {
	return new(big.Rat).Mul(m.rate, new(big.Rat).SetInt64(int64(d)))
}

// time returns the time until the tokens return, rounded up to nanoseconds.
func (m *tokens) time(tokens *big.Rat) time.Duration {
	exact := new(big.Rat).Quo(tokens, m.rate)
	up := new(big.Int).Add(exact.Num(), new(big.Int).Sub(exact.Denom(), big.NewInt(1)))
	return time.Duration(new(big.Int).Quo(up, exact.Denom()).Int64())
}

// step draws how far the clock moves: often not at all, often by about the time in which one
// permit returns, to the nanosecond.
func step(t *rapid.T, per time.Duration, permits int) time.Duration {
	interval := int64(per) / int64(permits)
	return time.Duration(rapid.OneOf(
		rapid.Just(int64(0)),
		rapid.Int64Range(0, 2*interval+2),
		rapid.Int64Range(max(interval-1, 0), interval+2),
		rapid.Int64Range(0, int64(per)+1),
		rapid.Just(int64(per)),
	).Draw(t, "step"))
}

// nanos returns a/b nanoseconds, rounded up.
func nanos(a, b int64) time.Duration { return time.Duration((a + b - 1) / b) }

func must(t interface {
	Helper()
	Fatal(args ...any)
}, permits int, per time.Duration, burst int,
) *gcra.Limit {
	t.Helper()
	limit, err := gcra.New(permits, per, burst)
	if err != nil {
		t.Fatal(err)
	}
	return limit
}
