package window_test

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hauberk-rpc/hauberk/internal/engine/window"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// state is implemented by Log and Counter.
type state interface {
	Allow(l *window.Limit, now time.Duration, n int) window.Decision
}

func states() map[string]func() state {
	return map[string]func() state{
		"log":     func() state { return new(window.Log) },
		"counter": func() state { return new(window.Counter) },
	}
}

func TestNew(t *testing.T) {
	for _, c := range []struct {
		name    string
		permits int
		period  time.Duration
		err     string
	}{
		{"least", 1, 1, ""},
		{"greatest", math.MaxInt, 1 << 61, ""},
		{"no permits", 0, time.Second, "window: limit of 0 permits; want at least 1"},
		{"negative permits", -3, time.Second, "window: limit of -3 permits; want at least 1"},
		{"no period", 1, 0, "window: period of 0s; want more than 0"},
		{"negative period", 1, -time.Minute, "window: period of -1m0s; want more than 0"},
		{
			"absurd period", 1, math.MaxInt64,
			"window: period of 2562047h47m16.854775807s; want at most 640511h56m49.213693952s",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			limit, err := window.New(c.permits, c.period)
			if c.err == "" && err != nil || c.err != "" && (err == nil || err.Error() != c.err) {
				t.Fatalf("error %v, want %q", err, c.err)
			}
			if (limit == nil) != (err != nil) {
				t.Errorf("limit %v with error %v", limit, err)
			}
		})
	}
}

func TestAllow(t *testing.T) {
	type ask struct {
		at   time.Duration
		n    int
		want window.Decision
	}
	const s = time.Second
	limit := must(t, 3, 10*s)
	for _, c := range []struct {
		name  string
		state state
		asks  []ask
	}{
		{"log slides", new(window.Log), []ask{
			{9 * s, 2, window.Decision{OK: true, Remaining: 1, ResetAfter: 10 * s}},
			{11 * s, 1, window.Decision{OK: true, Remaining: 0, ResetAfter: 10 * s}},
			{12 * s, 1, window.Decision{RetryAfter: 7 * s, Remaining: 0, ResetAfter: 9 * s}},
			{12 * s, 3, window.Decision{RetryAfter: 9 * s, Remaining: 0, ResetAfter: 9 * s}},
			{12 * s, 0, window.Decision{OK: true, Remaining: 0, ResetAfter: 9 * s}},
			{19*s - 1, 1, window.Decision{RetryAfter: 1, Remaining: 0, ResetAfter: 2*s + 1}},
			{19 * s, 3, window.Decision{RetryAfter: 2 * s, Remaining: 2, ResetAfter: 2 * s}},
			{19 * s, 2, window.Decision{OK: true, Remaining: 0, ResetAfter: 10 * s}},
			{60 * s, 0, window.Decision{OK: true, Remaining: 3, ResetAfter: 0}},
		}},
		{"counter starts afresh", new(window.Counter), []ask{
			{9 * s, 2, window.Decision{OK: true, Remaining: 1, ResetAfter: s}},
			{9 * s, 2, window.Decision{RetryAfter: s, Remaining: 1, ResetAfter: s}},
			{10*s - 1, 1, window.Decision{OK: true, Remaining: 0, ResetAfter: 1}},
			{10*s - 1, 0, window.Decision{OK: true, Remaining: 0, ResetAfter: 1}},
			{10 * s, 3, window.Decision{OK: true, Remaining: 0, ResetAfter: 10 * s}},
			{12 * s, 1, window.Decision{RetryAfter: 8 * s, Remaining: 0, ResetAfter: 8 * s}},
			{60 * s, 0, window.Decision{OK: true, Remaining: 3, ResetAfter: 0}},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, a := range c.asks {
				if got := c.state.Allow(limit, a.at, a.n); got != a.want {
					t.Errorf("at %v for %d: %+v, want %+v", a.at, a.n, got, a.want)
				}
			}
		})
	}
}

func TestSizesOfRequests(t *testing.T) {
	for name, fresh := range states() {
		for _, n := range []int{math.MinInt, -1, 0} {
			s, limit := fresh(), must(t, 5, time.Second)
			s.Allow(limit, 0, 5)
			if got := s.Allow(limit, 0, n); !got.OK || got.Remaining != 0 {
				t.Errorf("%s, %d permits: %+v, want OK without giving any back", name, n, got)
			}
		}
		for _, n := range []int{6, math.MaxInt} {
			s, limit := fresh(), must(t, 5, time.Second)
			want := window.Decision{RetryAfter: window.Never, Remaining: 5}
			if got := s.Allow(limit, 0, n); got != want {
				t.Errorf("%s, %d permits: %+v, want %+v", name, n, got, want)
			}
		}
		s, limit := fresh(), must(t, math.MaxInt, time.Second)
		if got := s.Allow(limit, 0, math.MaxInt); !got.OK || got.Remaining != 0 {
			t.Errorf("%s, the greatest limit: %+v, want OK", name, got)
		}
		if got := s.Allow(limit, 0, 1); got.OK {
			t.Errorf("%s, one more than the greatest limit: %+v", name, got)
		}
	}
}

func TestZeroLimitAdmitsNothing(t *testing.T) {
	for name, fresh := range states() {
		var limit window.Limit
		if got, want := fresh().Allow(&limit, time.Second, 1), (window.Decision{RetryAfter: window.Never}); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

// A fixed window admits twice the limit around its edge, a sliding window does not.
func TestBurstAtTheEdge(t *testing.T) {
	for name, want := range map[string]int{"log": 10, "counter": 20} {
		s, limit, admitted := states()[name](), must(t, 10, time.Minute), 0
		for _, at := range []time.Duration{time.Minute - 100*time.Millisecond, time.Minute + 100*time.Millisecond} {
			for range 30 {
				if s.Allow(limit, at, 1).OK {
					admitted++
				}
			}
		}
		if admitted != want {
			t.Errorf("%s: %d permits within 200 ms, want %d", name, admitted, want)
		}
	}
}

// A reading that is a little earlier than others counts as the latest of them.
func TestLateReading(t *testing.T) {
	for name, fresh := range states() {
		s, limit := fresh(), must(t, 2, 20*time.Second)
		s.Allow(limit, time.Minute, 2)
		for _, behind := range []time.Duration{1, time.Second, 10 * time.Second} {
			want := window.Decision{RetryAfter: 20 * time.Second, ResetAfter: 20 * time.Second}
			if got := s.Allow(limit, time.Minute-behind, 1); got != want {
				t.Errorf("%s, %v behind: %+v, want %+v", name, behind, got, want)
			}
		}
		if got := s.Allow(limit, time.Minute+20*time.Second, 2); !got.OK {
			t.Errorf("%s, a period later: %+v, want OK", name, got)
		}
	}
}

// A clock that is set back gives no fresh limit and locks no key out.
func TestClockSetBack(t *testing.T) {
	for name, fresh := range states() {
		for _, back := range []time.Duration{11 * time.Second, time.Hour, 100 * 365 * 24 * time.Hour} {
			s, limit := fresh(), must(t, 2, 10*time.Second)
			s.Allow(limit, time.Hour-time.Second, 1)
			s.Allow(limit, time.Hour-time.Second, 1)
			now := time.Hour - time.Second - back
			got := s.Allow(limit, now, 1)
			if got.OK || got.RetryAfter > 10*time.Second {
				t.Errorf("%s, %v back: %+v, want a wait of at most a period", name, back, got)
			}
			if got := s.Allow(limit, now+20*time.Second, 2); !got.OK {
				t.Errorf("%s, %v back, a period and 10 s later: %+v, want OK", name, back, got)
			}
		}
	}
}

// An unused state has no times to move back.
func TestAnyOrigin(t *testing.T) {
	for name, fresh := range states() {
		for _, origin := range []time.Duration{math.MinInt64, math.MinInt64 + 1e10, -1e18, -1, 0, 1767225600e9, math.MaxInt64 - 1e10} {
			s, limit := fresh(), must(t, 2, time.Second)
			if got := s.Allow(limit, origin, 2); !got.OK {
				t.Errorf("%s at %d: %+v, want OK", name, origin, got)
			}
			rejected := s.Allow(limit, origin, 1)
			if rejected.OK || rejected.RetryAfter > time.Second {
				t.Errorf("%s at %d: %+v, want a wait of at most a second", name, origin, rejected)
			}
			if got := s.Allow(limit, origin+rejected.RetryAfter, 2); !got.OK {
				t.Errorf("%s at %d, a wait later: %+v, want OK", name, origin, got)
			}
		}
	}
}

// If times share entries, permits return at most 1/1023 of a period late.
func TestLogOfGreatLimit(t *testing.T) {
	const permits, period, step = 2000, time.Second, 500 * time.Microsecond
	limit := must(t, permits, period)
	var s window.Log
	for i := range permits {
		if got := s.Allow(limit, time.Duration(i)*step, 1); !got.OK {
			t.Fatalf("permit %d: %+v, want OK", i, got)
		}
	}
	for now := period; now < 2*period; now += step / 5 {
		back := func(late time.Duration) int { return int((now-period-late)/step) + 1 }
		if got := s.Allow(limit, now, 0).Remaining; got > back(0) || now > period+period/1023 && got < back(period/1023+1) {
			t.Fatalf("at %v %d are back, want %d to %d", now, got, back(period/1023+1), back(0))
		}
	}
}

// A Log has a bounded size for any number of calls and drops its entries after a period.
func TestLogUnderConstantPressure(t *testing.T) {
	const permits, period = 1_000_000, time.Second
	limit := must(t, permits, period)
	var s window.Log
	admitted := 0
	for now := time.Duration(0); now < 3*period; now += 2 * time.Microsecond {
		if s.Allow(limit, now, 5).OK { // 2.5 times the limit
			admitted += 5
		}
	}
	if admitted > 3*permits || admitted < 3*permits*99/100 {
		t.Errorf("admitted %d, want 0.99 to 1 of %d", admitted, 3*permits)
	}
}

func TestAllocations(t *testing.T) {
	for name, fresh := range states() {
		for _, permits := range []int{100, 1_000_000} {
			s, limit := fresh(), must(t, permits, time.Second)
			var now time.Duration
			step := func() { now += 100 * time.Microsecond; s.Allow(limit, now, 1) }
			for range 20_000 { // two periods, in which the ring grows
				step()
			}
			if n := testing.AllocsPerRun(20_000, step); n != 0 {
				t.Errorf("%s: Allow allocates %v times", name, n)
			}
		}
	}
}

// Goroutines whose readings are not in order take no more than a single one could.
func TestConcurrent(t *testing.T) {
	for name, fresh := range states() {
		const permits, each = 100, 20_000
		s, limit := fresh(), must(t, permits, 100*time.Millisecond)
		var clock, admitted atomic.Int64 // the clock stays below 10 s, lest a goroutine held up counts as one set back
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range each {
					if s.Allow(limit, time.Duration(clock.Add(10_000)-1), 1).OK {
						admitted.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if periods := clock.Load() / 1e8; admitted.Load() != permits*periods {
			t.Errorf("%s: admitted %d in %d periods, want %d", name, admitted.Load(), periods, permits*periods)
		}
	}
}

func TestAgainstModel(t *testing.T) {
	testseed.Check(t, func(t *rapid.T) {
		permits := rapid.OneOf(rapid.IntRange(1, 20), rapid.IntRange(900, 1300), rapid.IntRange(1, 1e6)).Draw(t, "permits")
		period := time.Duration(rapid.OneOf(
			rapid.Int64Range(1, 50), rapid.Int64Range(1, 1e12), rapid.Just(int64(time.Minute)),
		).Draw(t, "period"))
		start := time.Duration(rapid.Int64Range(-1e18, 1e18).Draw(t, "start"))
		asks := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) request {
			return request{
				after: time.Duration(rapid.OneOf(
					rapid.Just(int64(0)),
					rapid.Int64Range(0, int64(period)/5+1),
					rapid.Int64Range(0, int64(period)*2),
					rapid.Just(int64(period)),
				).Draw(t, "after")),
				n: rapid.OneOf(rapid.Just(1), rapid.IntRange(-1, permits+1), rapid.IntRange(1, permits/4+1)).Draw(t, "n"),
			}
		}), 1, 100).Draw(t, "requests")
		checkAll(t, permits, period, start, asks)
	})
}

// FuzzAllow compares both with the model at any times.
func FuzzAllow(f *testing.F) {
	f.Add(3, int64(time.Minute), int64(0), []byte{0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 61, 30, 1})
	f.Add(2000, int64(1000), int64(-500), []byte("any bytes will do, and more are better"))
	f.Add(math.MaxInt, int64(1)<<61, int64(-1)<<61, []byte{1, 62, 127, 1, 60, 127})
	f.Fuzz(func(t *testing.T, permits int, period, start int64, moves []byte) {
		if _, err := window.New(permits, time.Duration(period)); err != nil {
			return
		}
		var asks []request
		var elapsed time.Duration // a clock does not run for 146 years, near the end of its range
		for ; len(moves) >= 3 && len(asks) < 300; moves = moves[3:] {
			after := time.Duration(moves[0]) << (moves[1] % 50)
			if elapsed += after; elapsed > 1<<62 {
				break
			}
			asks = append(asks, request{after, int(int8(moves[2]))})
		}
		checkAll(t, permits, time.Duration(period), time.Duration(start%(1<<61)), asks)
	})
}

type request struct {
	after time.Duration // the one before
	n     int
}

// checkAll compares every decision with the definitions, given the permits admitted so far.
func checkAll(t rapid.TB, permits int, period, start time.Duration, asks []request) {
	t.Helper()
	limit := must(t, permits, period)
	slack := time.Duration(0)
	if permits > 1024 {
		slack = (period + 1022) / 1023
	}
	slides := func(now, at time.Duration) bool { return now-at < period }
	stays := func(now, at time.Duration) bool { return now-at < period+slack }
	same := func(now, at time.Duration) bool { return floor(now, period) == floor(at, period) }
	check(t, new(window.Log), limit, start, asks, model{permits, slides, stays})
	check(t, new(window.Counter), limit, start, asks, model{permits, same, same})
}

// model says which permits count at a time: those that must, and those that may.
type model struct {
	permits   int
	must, may func(now, at time.Duration) bool
}

type admission struct {
	at time.Duration
	n  int
}

func check(t rapid.TB, s state, limit *window.Limit, now time.Duration, asks []request, m model) {
	t.Helper()
	var log []admission
	for _, a := range asks {
		now += a.after
		n := max(a.n, 0)
		most, least := m.permits-sum(log, now, m.must), m.permits-sum(log, now, m.may)
		d := s.Allow(limit, now, a.n)
		if d.OK && n > most || !d.OK && n <= least {
			t.Fatalf("%T at %d: %d permits, %+v, with %d to %d free", s, now, n, d, least, most)
		}
		if d.OK {
			log = append(log, admission{now, n})
			most, least = most-n, least-n
		}
		if d.Remaining > most || d.Remaining < max(least, 0) {
			t.Fatalf("%T at %d: %+v, with %d to %d free", s, now, d, least, most)
		}
		checkWaits(t, d, now, n, log, m)
	}
}

// checkWaits checks the state at later times, if no other permits are taken.
func checkWaits(t rapid.TB, d window.Decision, now time.Duration, n int, log []admission, m model) {
	t.Helper()
	free := func(at time.Duration, counts func(now, at time.Duration) bool) int {
		return m.permits - sum(log, at, counts)
	}
	if (d.RetryAfter == window.Never) != (n > m.permits) || d.OK != (d.RetryAfter == 0) {
		t.Fatalf("%+v for %d of %d permits", d, n, m.permits)
	}
	if !d.OK && d.RetryAfter != window.Never {
		if free(now+d.RetryAfter, m.must) < n || free(now+d.RetryAfter-1, m.may) >= n {
			t.Fatalf("%+v at %d for %d permits: not the least wait", d, now, n)
		}
	}
	if free(now+d.ResetAfter, m.must) != m.permits || d.ResetAfter > 0 && free(now+d.ResetAfter-1, m.may) == m.permits {
		t.Fatalf("%+v at %d: not the least time to reset", d, now)
	}
}

func sum(log []admission, now time.Duration, counts func(now, at time.Duration) bool) int {
	total := 0
	for _, a := range log {
		if counts(now, a.at) {
			total += a.n
		}
	}
	return total
}

func floor(now, unit time.Duration) int64 {
	if now < 0 {
		return int64((now+1)/unit) - 1
	}
	return int64(now / unit)
}

func must(t interface {
	Helper()
	Fatal(args ...any)
}, permits int, period time.Duration,
) *window.Limit {
	t.Helper()
	limit, err := window.New(permits, period)
	if err != nil {
		t.Fatal(err)
	}
	return limit
}
