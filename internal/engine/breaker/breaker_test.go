package breaker_test

import (
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/breaker"
)

const second = time.Second

func TestValidate(t *testing.T) {
	fine := breaker.Config{FailureThreshold: 1, HalfOpenMaxCalls: 1}
	for _, c := range []struct {
		name   string
		change func(*breaker.Config)
		err    string
	}{
		{"least", func(*breaker.Config) {}, ""},
		{
			"greatest",
			func(c *breaker.Config) {
				*c = breaker.Config{
					FailureThreshold: math.MaxInt, OpenFor: math.MaxInt64,
					HalfOpenMaxCalls: math.MaxInt, ProbeTimeout: math.MaxInt64,
				}
			}, "",
		},
		{"zero", func(c *breaker.Config) { *c = breaker.Config{} }, "breaker: failure threshold of 0; want at least 1"},
		{"threshold", func(c *breaker.Config) { c.FailureThreshold = -1 }, "breaker: failure threshold of -1; want at least 1"},
		{"open for", func(c *breaker.Config) { c.OpenFor = -1 }, "breaker: open for -1ns; want 0 or more"},
		{"half-open", func(c *breaker.Config) { c.HalfOpenMaxCalls = 0 }, "breaker: at most 0 calls while half-open; want at least 1"},
		{"established", func(c *breaker.Config) { c.EstablishedAfter = -1 }, "breaker: established after -1ns; want 0 or more"},
		{"probe", func(c *breaker.Config) { c.ProbeTimeout = -second }, "breaker: probe timeout of -1s; want 0 for none, or more"},
	} {
		config := fine
		c.change(&config)
		if err := config.Validate(); c.err == "" && err != nil || c.err != "" && (err == nil || err.Error() != c.err) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.err)
		}
	}
}

// Values below the least count as the least: one failure opens the breaker, the next call
// is a probe.
func TestNewOfZeroConfig(t *testing.T) {
	b := breaker.New(breaker.Config{FailureThreshold: -1, OpenFor: -second, HalfOpenMaxCalls: -1, ProbeTimeout: -1})
	call(t, b, 0, breaker.Failure)
	expect(t, b, breaker.Snapshot{State: breaker.Open, Failures: 1, Changes: 1})
	probe := admit(t, b, 0)
	reject(t, b, 0, breaker.ErrHalfOpen, 0)
	probe.Done(0, breaker.Success)
	expect(t, b, breaker.Snapshot{State: breaker.Closed, Changes: 3})
}

// The states of a breaker follow the project's contract.
func TestLife(t *testing.T) {
	b := breaker.New(breaker.Config{FailureThreshold: 3, OpenFor: 10 * second, HalfOpenMaxCalls: 2})
	call(t, b, 0, breaker.Failure)
	call(t, b, 0, breaker.Failure)
	call(t, b, 0, breaker.Success) // resets the count
	call(t, b, 0, breaker.Failure)
	call(t, b, 0, breaker.Neutral) // does not reset it
	call(t, b, 0, breaker.Failure)
	expect(t, b, breaker.Snapshot{State: breaker.Closed, Failures: 2})
	call(t, b, second, breaker.Failure)
	expect(t, b, breaker.Snapshot{State: breaker.Open, Failures: 3, Changes: 1})
	reject(t, b, second, breaker.ErrOpen, 10*second)
	reject(t, b, 11*second-1, breaker.ErrOpen, 1)
	call(t, b, 11*second, breaker.Failure) // the probe
	expect(t, b, breaker.Snapshot{State: breaker.Open, Failures: 4, Changes: 3})
	reject(t, b, 20*second, breaker.ErrOpen, second)

	first, second := admit(t, b, 21*second), admit(t, b, 21*second)
	reject(t, b, 22*time.Second, breaker.ErrHalfOpen, 0)
	expect(t, b, breaker.Snapshot{State: breaker.HalfOpen, Failures: 4, Probes: 2, Changes: 4})
	first.Done(22*time.Second, breaker.Neutral) // cancelled: its place is free
	third := admit(t, b, 22*time.Second)
	reject(t, b, 22*time.Second, breaker.ErrHalfOpen, 0)
	third.Done(22*time.Second, breaker.Success)
	expect(t, b, breaker.Snapshot{State: breaker.Closed, Changes: 5})
	second.Done(23*time.Second, breaker.Failure) // of an earlier generation
	expect(t, b, breaker.Snapshot{State: breaker.Closed, Changes: 5})
	call(t, b, 23*time.Second, breaker.Success)
}

// A call from before an outage has no effect after it, nor one from before an earlier
// outage.
func TestLateOutcomes(t *testing.T) {
	for _, o := range []breaker.Outcome{breaker.Success, breaker.Failure, breaker.Neutral} {
		b := breaker.New(breaker.Config{FailureThreshold: 1, OpenFor: second, HalfOpenMaxCalls: 1})
		late := []*breaker.Permit{admit(t, b, 0), admit(t, b, 0), admit(t, b, 0), admit(t, b, 0)}
		ignored := func(at time.Duration) {
			before := b.Snapshot()
			late[0].Done(at, o)
			late = late[1:]
			expect(t, b, before)
		}
		call(t, b, 0, breaker.Failure)
		ignored(0) // open
		probe := admit(t, b, second)
		ignored(second) // half-open
		probe.Done(second, breaker.Success)
		ignored(second) // closed again
		call(t, b, second, breaker.Failure)
		probe = admit(t, b, 2*second)
		ignored(2 * second) // half-open again
		probe.Done(2*second, breaker.Failure)
		expect(t, b, breaker.Snapshot{State: breaker.Open, Failures: 2, Changes: 6})
	}
}

func TestDoneTwice(t *testing.T) {
	b := breaker.New(breaker.Config{FailureThreshold: 2, OpenFor: second, HalfOpenMaxCalls: 1})
	p := admit(t, b, 0)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() { p.Done(0, breaker.Failure) })
	}
	wg.Wait()
	expect(t, b, breaker.Snapshot{State: breaker.Closed, Failures: 1})

	call(t, b, 0, breaker.Failure)
	probe := admit(t, b, second)
	for range 3 {
		probe.Done(second, breaker.Neutral) // frees one place, not three
	}
	other := admit(t, b, second)
	probe.Done(second, breaker.Success)
	reject(t, b, second, breaker.ErrHalfOpen, 0)
	other.Done(second, breaker.Success)
	expect(t, b, breaker.Snapshot{State: breaker.Closed, Changes: 3})
}

func TestZeroPermit(t *testing.T) {
	var p breaker.Permit
	p.Done(0, breaker.Failure) // of a zero permit: must not panic

	b := breaker.New(breaker.Config{FailureThreshold: 1, OpenFor: second, HalfOpenMaxCalls: 1})
	call(t, b, 0, breaker.Failure)
	rejected, err := b.Allow(0)
	rejected.Done(0, breaker.Success)
	if err == nil || b.Snapshot().State != breaker.Open {
		t.Errorf("error %v, %+v; want a rejection without an effect", err, b.Snapshot())
	}
}

func TestUnknownOutcomeIsNeutral(t *testing.T) {
	b := breaker.New(breaker.Config{FailureThreshold: 1, OpenFor: second, HalfOpenMaxCalls: 1})
	call(t, b, 0, breaker.Outcome(77))
	expect(t, b, breaker.Snapshot{State: breaker.Closed})
	call(t, b, 0, breaker.Failure)
	call(t, b, second, breaker.Outcome(77))
	expect(t, b, breaker.Snapshot{State: breaker.HalfOpen, Failures: 1, Changes: 2})
}

// A call that its server has answered counts as a success once it has run for
// EstablishedAfter. Its end does not count.
func TestEstablished(t *testing.T) {
	config := breaker.Config{FailureThreshold: 2, OpenFor: second, HalfOpenMaxCalls: 1, EstablishedAfter: 5 * second}
	for _, o := range []breaker.Outcome{breaker.Neutral, breaker.Failure} {
		b := breaker.New(config)
		call(t, b, 0, breaker.Failure)
		established, other := admit(t, b, 0), admit(t, b, 0)
		established.DoneAnswered(5*second, 0, o)
		expect(t, b, breaker.Snapshot{State: breaker.Closed}) // a success after the failure
		call(t, b, 6*second, breaker.Failure)
		other.DoneAnswered(60*second, 0, o) // its success was before that failure
		expect(t, b, breaker.Snapshot{State: breaker.Closed, Failures: 1})
		call(t, b, 60*second, breaker.Failure)
		probe := admit(t, b, 61*second)
		probe.DoneAnswered(66*second, 0, o)
		expect(t, b, breaker.Snapshot{State: breaker.Closed, Changes: 3})
	}
}

// Calls that their servers have answered, and that fail together, count as one failure.
func TestAnsweredFailTogether(t *testing.T) {
	b := breaker.New(breaker.Config{FailureThreshold: 2, OpenFor: second, HalfOpenMaxCalls: 1, EstablishedAfter: 5 * second})
	for _, p := range []*breaker.Permit{admit(t, b, 0), admit(t, b, 0), admit(t, b, 0)} {
		p.DoneAnswered(second, 0, breaker.Failure)
	}
	expect(t, b, breaker.Snapshot{State: breaker.Closed, Failures: 1})
	admit(t, b, second).DoneAnswered(second, 0, breaker.Neutral)
	admit(t, b, second).DoneAnswered(second, 0, breaker.Failure) // of a later call
	expect(t, b, breaker.Snapshot{State: breaker.Open, Failures: 2, Changes: 1})
	probe := admit(t, b, 2*second)
	probe.DoneAnswered(2*second, 0, breaker.Failure)
	expect(t, b, breaker.Snapshot{State: breaker.Open, Failures: 3, Changes: 3})
}

// A probe that its server has answered closes the breaker before it ends.
func TestWatchedProbe(t *testing.T) {
	b := breaker.New(breaker.Config{FailureThreshold: 1, OpenFor: second, HalfOpenMaxCalls: 1, EstablishedAfter: 5 * second})
	call(t, b, 0, breaker.Failure)
	answered := false
	probe := admit(t, b, second)
	probe.Watch(func() bool { return answered })
	reject(t, b, 10*second, breaker.ErrHalfOpen, 0)
	answered = true
	reject(t, b, 6*second-1, breaker.ErrHalfOpen, 0)
	call(t, b, 6*second, breaker.Success)
	expect(t, b, breaker.Snapshot{State: breaker.Closed, Changes: 3})
	probe.DoneAnswered(60*second, 0, breaker.Failure) // of an earlier generation
	expect(t, b, breaker.Snapshot{State: breaker.Closed, Changes: 3})
}

// A probe that never ends occupies its place for ProbeTimeout, or forever.
func TestProbeThatNeverEnds(t *testing.T) {
	b := breaker.New(breaker.Config{FailureThreshold: 1, OpenFor: second, HalfOpenMaxCalls: 2, ProbeTimeout: 5 * second})
	call(t, b, 0, breaker.Failure)
	stuck, slow := admit(t, b, second), admit(t, b, 2*second)
	reject(t, b, 3*second, breaker.ErrHalfOpen, 3*second)
	reject(t, b, 6*second-1, breaker.ErrHalfOpen, 1)
	next := admit(t, b, 6*second)
	reject(t, b, 6*second, breaker.ErrHalfOpen, second)
	stuck.Done(6*second, breaker.Success) // too late
	expect(t, b, breaker.Snapshot{State: breaker.HalfOpen, Failures: 1, Probes: 2, Changes: 2})
	slow.Done(60*second, breaker.Neutral) // late, but its place was not used
	next.Done(60*second, breaker.Success)
	expect(t, b, breaker.Snapshot{State: breaker.Closed, Changes: 3})

	b = breaker.New(breaker.Config{FailureThreshold: 1, OpenFor: second, HalfOpenMaxCalls: 1})
	call(t, b, 0, breaker.Failure)
	stuck = admit(t, b, second)
	reject(t, b, 1<<60, breaker.ErrHalfOpen, 0)
	stuck.Done(1<<60, breaker.Success)
	expect(t, b, breaker.Snapshot{State: breaker.Closed, Changes: 3})
}

func TestClockSetBack(t *testing.T) {
	config := breaker.Config{FailureThreshold: 1, OpenFor: 30 * second, HalfOpenMaxCalls: 1, ProbeTimeout: 20 * second}
	b := breaker.New(config)
	call(t, b, time.Hour, breaker.Failure)
	reject(t, b, time.Hour-second, breaker.ErrOpen, 30*second) // a goroutine that was delayed
	reject(t, b, 0, breaker.ErrOpen, 30*second)
	reject(t, b, 29*second, breaker.ErrOpen, second)
	admit(t, b, 30*second)
	reject(t, b, -time.Hour, breaker.ErrHalfOpen, 20*second)
	admit(t, b, -time.Hour+20*second)
}

// The greatest times do not overflow.
func TestForEver(t *testing.T) {
	b := breaker.New(breaker.Config{
		FailureThreshold: 1, OpenFor: math.MaxInt64, HalfOpenMaxCalls: 1, ProbeTimeout: math.MaxInt64,
	})
	call(t, b, 0, breaker.Failure)
	reject(t, b, -second, breaker.ErrOpen, math.MaxInt64)
	reject(t, b, 1<<62, breaker.ErrOpen, math.MaxInt64-1<<62)
	admit(t, b, math.MaxInt64)
	reject(t, b, math.MaxInt64-second, breaker.ErrHalfOpen, math.MaxInt64)
}

func TestClockStops(t *testing.T) {
	b := breaker.New(breaker.Config{FailureThreshold: 1, OpenFor: 1, HalfOpenMaxCalls: 1})
	call(t, b, 0, breaker.Failure)
	for range 100 {
		reject(t, b, 0, breaker.ErrOpen, 1)
	}
}

func TestRejectedError(t *testing.T) {
	for state, want := range map[breaker.State]string{
		breaker.Open:     "circuit breaker is open",
		breaker.HalfOpen: "circuit breaker is half-open",
	} {
		err := &breaker.RejectedError{State: state}
		if err.Error() != want || errors.Is(err, breaker.ErrOpen) == errors.Is(err, breaker.ErrHalfOpen) {
			t.Errorf("%v: %q, open %v, half-open %v", state, err.Error(), errors.Is(err, breaker.ErrOpen), errors.Is(err, breaker.ErrHalfOpen))
		}
	}
}

func TestStateString(t *testing.T) {
	for state, want := range map[breaker.State]string{
		breaker.Closed: "closed", breaker.Open: "open", breaker.HalfOpen: "half_open", 9: "State(9)",
	} {
		if got := state.String(); got != want {
			t.Errorf("State(%d) is %q, want %q", uint8(state), got, want)
		}
	}
}

func TestAllocations(t *testing.T) {
	b := breaker.New(breaker.Config{FailureThreshold: 3, OpenFor: second, HalfOpenMaxCalls: 1})
	for name, outcome := range map[string]breaker.Outcome{
		"success": breaker.Success, "neutral": breaker.Neutral,
	} {
		n := testing.AllocsPerRun(100, func() {
			p, err := b.Allow(0)
			if err != nil {
				t.Fatal(err)
			}
			p.Done(0, outcome)
		})
		if n != 0 {
			t.Errorf("%s: Allow and Done allocate %v times", name, n)
		}
	}
	n := testing.AllocsPerRun(100, func() {
		for _, o := range []breaker.Outcome{breaker.Failure, breaker.Success} {
			p, err := b.Allow(0)
			if err != nil {
				t.Fatal(err)
			}
			p.Done(0, o)
		}
	})
	if n != 0 {
		t.Errorf("failure and success: Allow and Done allocate %v times", n)
	}
}

func TestOnChange(t *testing.T) {
	var got []breaker.Change
	var b *breaker.Breaker
	b = breaker.New(breaker.Config{
		FailureThreshold: 2, OpenFor: second, HalfOpenMaxCalls: 1,
		OnChange: func(c breaker.Change) {
			got = append(got, c)
			if c.To == breaker.Open && c.At == 0 { // OnChange may change the breaker
				call(t, b, 5*second, breaker.Failure)
			}
			b.Snapshot()
		},
	})
	call(t, b, 0, breaker.Failure)
	call(t, b, 0, breaker.Failure)
	call(t, b, 7*second, breaker.Success)
	want := []breaker.Change{
		{From: breaker.Closed, To: breaker.Open, At: 0, Failures: 2, OpenFor: second},
		{From: breaker.Open, To: breaker.HalfOpen, At: 5 * second, Failures: 2},
		{From: breaker.HalfOpen, To: breaker.Open, At: 5 * second, Failures: 3, OpenFor: second},
		{From: breaker.Open, To: breaker.HalfOpen, At: 7 * second, Failures: 3},
		{From: breaker.HalfOpen, To: breaker.Closed, At: 7 * second},
	}
	if !slices.Equal(got, want) {
		t.Errorf("changes %+v,\nwant %+v", got, want)
	}
}

// After a panic of OnChange it receives the next changes, and nothing hangs.
func TestOnChangePanics(t *testing.T) {
	received := 0
	b := breaker.New(breaker.Config{
		FailureThreshold: 1, OpenFor: second, HalfOpenMaxCalls: 1,
		OnChange: func(breaker.Change) {
			received++
			if received == 1 {
				panic("broken")
			}
		},
	})
	func() {
		defer func() {
			if r := recover(); r != "broken" {
				t.Errorf("recovered %v, want the panic of OnChange", r)
			}
		}()
		call(t, b, 0, breaker.Failure)
	}()
	call(t, b, second, breaker.Success)
	if received != 3 || b.Snapshot().State != breaker.Closed {
		t.Errorf("received %d changes, %+v; want 3, closed", received, b.Snapshot())
	}
}

// OnChange receives all changes in order and never concurrently.
func TestOnChangeConcurrent(t *testing.T) {
	var telling atomic.Int32
	var got []breaker.Change // without a lock: the race detector reports whether one is needed
	b := breaker.New(breaker.Config{
		FailureThreshold: 1, HalfOpenMaxCalls: 3,
		OnChange: func(c breaker.Change) {
			if telling.Add(1) != 1 {
				t.Error("received two changes concurrently")
			}
			got = append(got, c)
			telling.Add(-1)
		},
	})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				if p, err := b.Allow(0); err == nil {
					p.Done(0, []breaker.Outcome{breaker.Failure, breaker.Success, breaker.Neutral}[(g+i)%3])
				}
			}
		})
	}
	wg.Wait()
	last := breaker.Closed
	for i, c := range got {
		if c.From != last || c.To == c.From {
			t.Fatalf("change %d is %+v, after %v", i, c, last)
		}
		last = c.To
	}
	if s := b.Snapshot(); s.State != last || s.Changes != uint64(len(got)) {
		t.Errorf("%+v after %d changes to %v", s, len(got), last)
	}
}

func admit(t *testing.T, b *breaker.Breaker, now time.Duration) *breaker.Permit {
	t.Helper()
	p, err := b.Allow(now)
	if err != nil {
		t.Fatalf("at %v: %v, want a permit", now, err)
	}
	return &p
}

func call(t *testing.T, b *breaker.Breaker, now time.Duration, o breaker.Outcome) {
	t.Helper()
	admit(t, b, now).Done(now, o)
}

func reject(t *testing.T, b *breaker.Breaker, now time.Duration, want error, wait time.Duration) {
	t.Helper()
	_, err := b.Allow(now)
	rejected, ok := errors.AsType[*breaker.RejectedError](err)
	if !ok || !errors.Is(err, want) || rejected.RetryAfter != wait {
		t.Errorf("at %v: %+v, want %v for %v", now, err, want, wait)
	}
}

func expect(t *testing.T, b *breaker.Breaker, want breaker.Snapshot) {
	t.Helper()
	if got := b.Snapshot(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
