package breaker_test

import (
	"errors"
	"maps"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hauberk-rpc/hauberk/internal/engine/breaker"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// model is a plain breaker for sequential use. Its states and rules are those of the
// project's contract, its permits are numbers.
type model struct {
	threshold, maxProbes  int
	openFor, probeTimeout time.Duration

	state    breaker.State
	failures int
	changes  uint64
	opened   time.Duration
	probes   map[int]time.Duration // the times of admission
	held     map[int]uint64        // permits that were not returned, with their generation
}

func newModel(c breaker.Config) *model {
	return &model{
		threshold: c.FailureThreshold, maxProbes: c.HalfOpenMaxCalls, openFor: c.OpenFor, probeTimeout: c.ProbeTimeout,
		probes: make(map[int]time.Duration), held: make(map[int]uint64),
	}
}

func (m *model) clone() *model {
	twin := *m
	twin.probes, twin.held = maps.Clone(m.probes), maps.Clone(m.held)
	return &twin
}

// answer is the result of Allow: admitted, or rejected with a reason and a time.
type answer struct {
	rejected error
	wait     time.Duration
}

func (m *model) allow(now time.Duration, permit int) answer {
	if m.state == breaker.Open {
		if past := max(now-m.opened, 0); past < m.openFor {
			return answer{breaker.ErrOpen, m.openFor - past}
		}
		m.turn(breaker.HalfOpen)
	}
	if m.state == breaker.HalfOpen {
		var wait time.Duration
		for p, started := range m.probes {
			left := m.probeTimeout - max(now-started, 0)
			switch {
			case m.probeTimeout == 0:
			case left <= 0:
				delete(m.probes, p)
			case wait == 0 || left < wait:
				wait = left
			}
		}
		if len(m.probes) >= m.maxProbes {
			return answer{breaker.ErrHalfOpen, wait}
		}
		m.probes[permit] = now
	}
	m.held[permit] = m.changes
	return answer{}
}

func (m *model) done(now time.Duration, permit int, o breaker.Outcome) {
	generation, held := m.held[permit]
	delete(m.held, permit)
	if !held || generation != m.changes {
		return
	}
	probing := m.state == breaker.HalfOpen
	if _, placed := m.probes[permit]; probing && !placed {
		return
	}
	delete(m.probes, permit)
	switch o {
	case breaker.Success:
		m.failures = 0
		if probing {
			m.turn(breaker.Closed)
		}
	case breaker.Failure:
		m.failures++
		if probing || m.failures >= m.threshold {
			m.turn(breaker.Open)
			m.opened = now
		}
	case breaker.Neutral:
	}
}

func (m *model) turn(to breaker.State) {
	m.state = to
	m.changes++
	clear(m.probes)
}

func (m *model) snapshot() breaker.Snapshot {
	return breaker.Snapshot{State: m.state, Failures: m.failures, Probes: len(m.probes), Changes: m.changes}
}

// op is one call of a method.
type op struct {
	what   byte // 'a'llow, 'd'one or 's'napshot
	now    time.Duration
	permit int // of 'a' the number of the new one, of 'd' that of the one returned
	out    breaker.Outcome

	// results
	got  answer
	snap breaker.Snapshot
}

// run applies o to b, whose permits it keeps, and records the result.
func (o *op) run(b *breaker.Breaker, permits []breaker.Permit) {
	switch o.what {
	case 'a':
		p := &permits[o.permit]
		var err error
		*p, err = b.Allow(o.now)
		if rejected, ok := errors.AsType[*breaker.RejectedError](err); ok {
			o.got = answer{rejected.Unwrap(), rejected.RetryAfter}
		}
	case 'd':
		permits[o.permit].Done(o.now, o.out)
	case 's':
		o.snap = b.Snapshot()
	}
}

// agrees applies o to m, and reports whether the result is the recorded one.
func (o *op) agrees(m *model) bool {
	switch o.what {
	case 'a':
		return m.allow(o.now, o.permit) == o.got
	case 'd':
		m.done(o.now, o.permit, o.out)
	case 's':
		return m.snapshot() == o.snap
	}
	return true
}

func TestAgainstModel(t *testing.T) {
	testseed.Check(t, func(t *rapid.T) {
		config := drawConfig(t)
		b, m := breaker.New(config), newModel(config)
		permits := make([]breaker.Permit, 200)
		now, asked := time.Duration(rapid.Int64Range(-1e18, 1e18).Draw(t, "start")), 0
		for range rapid.IntRange(1, 200).Draw(t, "ops") {
			now += time.Duration(rapid.SampledFrom([]int64{0, 0, 0, 1, 2, 5, 10}).Draw(t, "step"))
			o := op{what: rapid.SampledFrom([]byte("aaadddds")).Draw(t, "what"), now: now, permit: asked}
			if o.what == 'a' {
				asked++
			}
			if o.what == 'd' { // any permit, also a rejected or a returned one
				o.permit = rapid.IntRange(0, asked).Draw(t, "permit")
				o.out = rapid.SampledFrom(outcomes).Draw(t, "outcome")
			}
			step(t, o, b, m, permits)
		}
	})
}

// FuzzBreaker reads the configuration and the operations from bytes.
func FuzzBreaker(f *testing.F) {
	f.Add([]byte{2, 5, 2, 0, 0, 0, 5, 1, 0, 2, 5, 3, 40, 0, 1, 2, 2, 3, 2})
	f.Add([]byte("\x01\x01\x01\x03 any bytes will do, and more of them are better"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 4 {
			return
		}
		config := breaker.Config{
			FailureThreshold: int(data[0]%5) + 1, OpenFor: time.Duration(data[1] % 8),
			HalfOpenMaxCalls: int(data[2]%4) + 1, ProbeTimeout: time.Duration(data[3] % 8),
		}
		data = data[4:]
		b, m := breaker.New(config), newModel(config)
		permits := make([]breaker.Permit, len(data))
		var now time.Duration
		asked := 0
		for _, c := range data {
			now += time.Duration(c >> 6)
			o := op{what: "adds"[c&3], now: now, permit: asked, out: outcomes[c>>2&3]}
			if o.what == 'a' {
				asked++
			}
			if o.what == 'd' {
				o.permit = max(asked-1-int(c>>4&3), 0)
			}
			step(t, o, b, m, permits)
		}
	})
}

func step(t rapid.TB, o op, b *breaker.Breaker, m *model, permits []breaker.Permit) {
	t.Helper()
	before := m.clone()
	o.run(b, permits)
	if !o.agrees(m) {
		t.Fatalf("%c at %d of permit %d: %+v %+v, in the model %+v", o.what, o.now, o.permit, o.got, o.snap, before)
	}
	if got, want := b.Snapshot(), m.snapshot(); got != want {
		t.Fatalf("%c at %d of permit %d, outcome %d: %+v, want %+v", o.what, o.now, o.permit, o.out, got, want)
	}
}

var outcomes = []breaker.Outcome{breaker.Success, breaker.Failure, breaker.Neutral, breaker.Failure}

func drawConfig(t *rapid.T) breaker.Config {
	return breaker.Config{
		FailureThreshold: rapid.IntRange(1, 4).Draw(t, "threshold"),
		OpenFor:          time.Duration(rapid.IntRange(0, 10).Draw(t, "open for")),
		HalfOpenMaxCalls: rapid.IntRange(1, 3).Draw(t, "half-open"),
		ProbeTimeout:     time.Duration(rapid.SampledFrom([]int{0, 0, 1, 5}).Draw(t, "probe timeout")),
	}
}
