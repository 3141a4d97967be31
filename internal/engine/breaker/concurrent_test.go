package breaker_test

import (
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/breaker"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// Many goroutines call Allow when OpenFor has passed: never more probes than permitted run
// concurrently, however they end. TestHalfOpenRounds makes 10,000 rounds.
func TestHalfOpenRace(t *testing.T) {
	halfOpenRaces(t, func(round int) bool { return round < 192 })
}

// TestSoakHalfOpenRace is TestHalfOpenRace for the duration HAUBERK_SOAK.
func TestSoakHalfOpenRace(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("HAUBERK_SOAK"))
	if err != nil {
		t.Skip("HAUBERK_SOAK holds no duration")
	}
	end := time.Now().Add(length)
	t.Logf("%d rounds", halfOpenRaces(t, func(int) bool { return time.Now().Before(end) }))
}

// halfOpenRaces runs rounds with the same goroutines, and returns how many.
func halfOpenRaces(t *testing.T, more func(round int) bool) (rounds int) {
	t.Helper()
	const goroutines = 1000
	first := newRace(0, goroutines)
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for r := first; r != nil; r = r.next {
				<-r.release
				if r.breaker == nil {
					return
				}
				r.ask()
				r.ended.Done()
			}
		})
	}
	r := first
	for ; more(rounds) && !t.Failed(); rounds++ {
		r.next = newRace(rounds+1, goroutines)
		call(t, r.breaker, 0, breaker.Failure)
		close(r.release)
		r.ended.Wait()
		r.check(t)
		r = r.next
	}
	r.breaker = nil
	close(r.release)
	all.Wait()
	return rounds
}

func newRace(round, goroutines int) *race {
	r := &race{
		permitted: int64(round%4 + 1),
		outcome:   outcomes[round/4%3],
		hold:      round/12%2 == 0,
		release:   make(chan struct{}),
	}
	config := breaker.Config{FailureThreshold: 1, OpenFor: second, HalfOpenMaxCalls: int(r.permitted)}
	if round/24%2 == 1 {
		config.Window = breaker.Window{Time: second, MinCalls: 1, FailureRatio: 1}
	}
	r.breaker = breaker.New(config)
	r.asked.Add(goroutines)
	r.ended.Add(goroutines)
	return r
}

// race is one round of halfOpenRaces.
type race struct {
	permitted int64
	outcome   breaker.Outcome
	hold      bool // probes end only after all goroutines have called Allow

	breaker                 *breaker.Breaker // nil ends the goroutines
	release                 chan struct{}
	next                    *race
	asked, ended            sync.WaitGroup
	admitted, running, most atomic.Int64
}

func (r *race) ask() {
	p, err := r.breaker.Allow(second)
	if err != nil {
		r.asked.Done()
		return
	}
	r.admitted.Add(1)
	raise(&r.most, r.running.Add(1))
	r.asked.Done()
	if r.hold {
		r.asked.Wait()
	}
	r.running.Add(-1)
	p.Done(second, r.outcome)
}

// raise makes most at least n.
func raise(most *atomic.Int64, n int64) {
	for {
		if seen := most.Load(); seen >= n || most.CompareAndSwap(seen, n) {
			return
		}
	}
}

func (r *race) check(t *testing.T) {
	t.Helper()
	s := r.breaker.Snapshot()
	closes := r.outcome == breaker.Success
	if r.hold && r.admitted.Load() != r.permitted {
		t.Errorf("%d probes admitted, want %d", r.admitted.Load(), r.permitted)
	}
	if (r.hold || !closes) && r.most.Load() > r.permitted { // otherwise a success admits all others
		t.Errorf("%d concurrent probes, want at most %d", r.most.Load(), r.permitted)
	}
	if r.outcome == breaker.Failure && r.admitted.Load() > r.permitted {
		t.Errorf("%d probes admitted, want at most %d: one failure opens", r.admitted.Load(), r.permitted)
	}
	want := map[breaker.Outcome]breaker.State{
		breaker.Success: breaker.Closed, breaker.Failure: breaker.Open, breaker.Neutral: breaker.HalfOpen,
	}[r.outcome]
	if s.State != want || s.Probes != 0 {
		t.Errorf("%+v after all, want %v and no probes", s, want)
	}
}

// Histories of goroutines that use one breaker are linearizable, by the check of J. Wing
// and C. Gong, "Testing and verifying concurrent objects", 1993: there is an order of the
// operations in which the model gives the same results, and in which each operation that
// ended before another began comes before it.
func TestLinearizable(t *testing.T) {
	random := testseed.Rand(t, 0)
	overlapping := 0
	for range 5000 {
		h := newHistory(random)
		h.run()
		if !h.linearizable() {
			t.Fatalf("no order explains this history of %+v:\n%s", h.config, h)
		}
		if h.overlaps() {
			overlapping++
		}
	}
	t.Logf("operations overlapped in %d histories", overlapping)
}

// The checker rejects a history that is not linearizable.
func TestLinearizableRejects(t *testing.T) {
	config := breaker.Config{FailureThreshold: 1, OpenFor: 10, HalfOpenMaxCalls: 1}
	opened := breaker.Snapshot{State: breaker.Open, Failures: 1, Changes: 1}
	for name, c := range map[string]struct {
		events [][]event
		want   bool
	}{
		"in order": {[][]event{{
			{op: op{what: 'a', permit: 0}, began: 1, ended: 2},
			{op: op{what: 'd', permit: 0, out: breaker.Failure}, began: 3, ended: 4},
			{op: op{what: 's', snap: opened}, began: 5, ended: 6},
		}}, true},
		"concurrent, so in either order": {[][]event{
			{{op: op{what: 'a', permit: 0}, began: 1, ended: 2}, {op: op{what: 'd', permit: 0, out: breaker.Failure}, began: 3, ended: 6}},
			{{op: op{what: 's'}, began: 4, ended: 5}},
		}, true},
		"seen too late": {[][]event{
			{{op: op{what: 'a', permit: 0}, began: 1, ended: 2}, {op: op{what: 'd', permit: 0, out: breaker.Failure}, began: 3, ended: 4}},
			{{op: op{what: 's'}, began: 5, ended: 6}},
		}, false},
		"admitted while open": {[][]event{
			{{op: op{what: 'a', permit: 0}, began: 1, ended: 2}, {op: op{what: 'd', permit: 0, out: breaker.Failure}, began: 3, ended: 6}},
			{{op: op{what: 's', snap: opened}, began: 4, ended: 5}, {op: op{what: 'a', permit: 1}, began: 6, ended: 7}},
		}, false},
	} {
		h := history{config: config, start: newModel(config), threads: c.events}
		if got := h.linearizable(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
