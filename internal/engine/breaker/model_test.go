package breaker_test

import (
	"errors"
	"maps"
	"strings"
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
	establishedAfter      time.Duration

	state    breaker.State
	failures int
	changes  uint64
	opened   time.Duration
	failed   int // how many failures have counted
	failedAt time.Duration
	probes   map[int]time.Duration // the times of admission
	watched  map[int]bool          // probes whose servers have answered
	held     map[int]admission     // permits that were not returned
}

// admission is what a model knows of a call that it has admitted.
type admission struct {
	generation uint64
	started    time.Duration
	failed     int
}

func newModel(c breaker.Config) *model {
	return &model{
		threshold: c.FailureThreshold, maxProbes: c.HalfOpenMaxCalls, openFor: c.OpenFor, probeTimeout: c.ProbeTimeout,
		establishedAfter: c.EstablishedAfter,
		probes:           make(map[int]time.Duration), watched: make(map[int]bool), held: make(map[int]admission),
	}
}

func (m *model) clone() *model {
	twin := *m
	twin.probes, twin.watched, twin.held = maps.Clone(m.probes), maps.Clone(m.watched), maps.Clone(m.held)
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
		for p, started := range m.probes {
			if m.watched[p] && max(now-started, 0) >= m.establishedAfter {
				m.failures = 0
				m.turn(breaker.Closed)
			}
		}
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
	m.held[permit] = admission{m.changes, now, m.failed}
	return answer{}
}

// answered returns what the outcome of a call counts as that its server has answered.
func (m *model) answered(now time.Duration, call admission, o breaker.Outcome) breaker.Outcome {
	established := max(now-call.started, 0) >= m.establishedAfter
	later := m.failed > call.failed
	switch {
	case o == breaker.Success:
		return o
	case established && later && max(m.failedAt-call.started, 0) >= m.establishedAfter:
		return breaker.Neutral
	case established:
		return breaker.Success
	case later:
		return breaker.Neutral
	default:
		return o
	}
}

func (m *model) watch(permit int) {
	if call, held := m.held[permit]; held && call.generation == m.changes {
		m.watched[permit] = true
	}
}

func (m *model) done(now time.Duration, permit int, o breaker.Outcome, answered bool) {
	call, held := m.held[permit]
	delete(m.held, permit)
	if !held || call.generation != m.changes {
		return
	}
	probing := m.state == breaker.HalfOpen
	if _, placed := m.probes[permit]; probing && !placed {
		return
	}
	delete(m.probes, permit)
	if answered {
		o = m.answered(now, call, o)
	}
	switch o {
	case breaker.Success:
		m.failures = 0
		if probing {
			m.turn(breaker.Closed)
		}
	case breaker.Failure:
		m.failures++
		m.failed++
		m.failedAt = now
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
	clear(m.watched)
}

func (m *model) snapshot() breaker.Snapshot {
	return breaker.Snapshot{State: m.state, Failures: m.failures, Probes: len(m.probes), Changes: m.changes}
}

// op is one call of a method.
type op struct {
	what   byte // 'a'llow, 'd'one, 'e' for DoneAnswered, 'w'atch or 's'napshot
	now    time.Duration
	permit int // of 'a' the number of the new one, of 'd', 'e' and 'w' that of an earlier one
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
	case 'e':
		permits[o.permit].DoneAnswered(o.now, o.out)
	case 'w':
		permits[o.permit].Watch(func() bool { return true })
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
		m.done(o.now, o.permit, o.out, false)
	case 'e':
		m.done(o.now, o.permit, o.out, true)
	case 'w':
		m.watch(o.permit)
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
			o := op{what: rapid.SampledFrom([]byte("aaaaaddddeeews")).Draw(t, "what"), now: now, permit: asked}
			if o.what == 'a' {
				asked++
			}
			if strings.IndexByte("dew", o.what) >= 0 { // any permit, also a rejected or a returned one
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
		if len(data) < 5 {
			return
		}
		config := breaker.Config{
			FailureThreshold: int(data[0]%5) + 1, OpenFor: time.Duration(data[1] % 8),
			HalfOpenMaxCalls: int(data[2]%4) + 1, ProbeTimeout: time.Duration(data[3] % 8),
			EstablishedAfter: time.Duration(data[4] % 4),
		}
		data = data[5:]
		b, m := breaker.New(config), newModel(config)
		permits := make([]breaker.Permit, len(data))
		var now time.Duration
		asked := 0
		for _, c := range data {
			now += time.Duration(c >> 6)
			o := op{what: "adswdeaa"[c&7], now: now, permit: asked, out: outcomes[c>>3&3]}
			if o.what == 'a' {
				asked++
			}
			if strings.IndexByte("dew", o.what) >= 0 {
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
		EstablishedAfter: time.Duration(rapid.SampledFrom([]int{0, 1, 3, 8}).Draw(t, "established after")),
	}
}
