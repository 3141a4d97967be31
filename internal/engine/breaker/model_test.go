package breaker_test

import (
	"errors"
	"maps"
	"slices"
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
	config breaker.Config

	state     breaker.State
	mode      breaker.Mode
	failures  int
	changes   uint64
	opened    time.Duration
	openFor   time.Duration
	openings  int
	successes int
	failed    int // how many failures have counted
	failedAt  time.Duration
	calls     []recent              // in the window, the oldest first
	probes    map[int]time.Duration // the times of admission
	watched   map[int]bool          // probes whose servers have answered
	held      map[int]admission     // permits that were not returned
}

// recent is a call in a window.
type recent struct {
	tenth        int64 // the tenth of the time of the window in which it counts
	failed, slow bool
}

// admission is what a model knows of a call that it has admitted.
type admission struct {
	generation uint64
	started    time.Duration
	failed     int
}

func newModel(c breaker.Config) *model {
	return &model{
		config: c,
		probes: make(map[int]time.Duration), watched: make(map[int]bool), held: make(map[int]admission),
	}
}

func (m *model) clone() *model {
	twin := *m
	twin.probes, twin.watched, twin.held = maps.Clone(m.probes), maps.Clone(m.watched), maps.Clone(m.held)
	twin.calls = slices.Clone(m.calls)
	return &twin
}

// answer is the result of Allow: admitted, or rejected with a reason and a time.
type answer struct {
	rejected error
	wait     time.Duration
	forced   bool
}

func (m *model) allow(now time.Duration, permit int) answer {
	if m.state == breaker.Open {
		if m.mode == breaker.ForcedOpen {
			return answer{breaker.ErrOpen, 0, true}
		}
		if past := max(now-m.opened, 0); past < m.openFor {
			return answer{breaker.ErrOpen, m.openFor - past, false}
		}
		m.turn(breaker.HalfOpen)
	}
	if m.state == breaker.HalfOpen {
		for p, started := range m.probes {
			if m.watched[p] && m.state == breaker.HalfOpen && max(now-started, 0) >= m.config.EstablishedAfter {
				delete(m.probes, p)
				m.succeed(started, now, false)
			}
		}
	}
	if m.state == breaker.HalfOpen {
		var wait time.Duration
		for p, started := range m.probes {
			left := m.config.ProbeTimeout - max(now-started, 0)
			switch {
			case m.config.ProbeTimeout == 0:
			case left <= 0:
				delete(m.probes, p)
			case wait == 0 || left < wait:
				wait = left
			}
		}
		if len(m.probes) >= m.config.HalfOpenMaxCalls {
			return answer{breaker.ErrHalfOpen, wait, false}
		}
		m.probes[permit] = now
	}
	m.held[permit] = admission{m.changes, now, m.failed}
	return answer{}
}

// answered returns what the outcome of a call counts as that its server has answered.
func (m *model) answered(now time.Duration, call admission, o breaker.Outcome) breaker.Outcome {
	established := max(now-call.started, 0) >= m.config.EstablishedAfter
	later := m.failed > call.failed
	switch {
	case o == breaker.Success:
		return o
	case established && later && max(m.failedAt-call.started, 0) >= m.config.EstablishedAfter:
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

func (m *model) done(now time.Duration, permit int, o breaker.Outcome, answered bool, took time.Duration) {
	call, held := m.held[permit]
	delete(m.held, permit)
	if !held || call.generation != m.changes || m.mode != breaker.Automatic {
		return
	}
	if _, placed := m.probes[permit]; m.state == breaker.HalfOpen && !placed {
		return
	}
	delete(m.probes, permit)
	if answered {
		o = m.answered(now, call, o)
	} else {
		took = max(now-call.started, 0)
	}
	slow := m.config.Window.SlowRatio > 0 && took >= m.config.Window.SlowAfter
	switch o {
	case breaker.Success:
		m.succeed(call.started, now, slow)
	case breaker.Failure:
		m.failures++
		m.failed++
		m.failedAt = now
		m.record(now, true, slow)
		if m.state == breaker.HalfOpen || m.failures == m.config.FailureThreshold || m.trips() {
			m.open(now)
		}
	case breaker.Neutral:
	}
}

func (m *model) succeed(started, now time.Duration, slow bool) {
	m.failures = 0
	if m.state == breaker.HalfOpen {
		m.successes++
		if slow {
			m.open(now)
		} else if m.successes >= max(m.config.SuccessThreshold, 1) {
			m.openings = 0
			m.turn(breaker.Closed)
		}
		return
	}
	if !slow {
		m.record(started, false, false)
		return
	}
	m.record(now, false, true)
	if m.trips() {
		m.open(now)
	}
}

// record adds a call to the window, and removes those that no longer count.
func (m *model) record(at time.Duration, failed, slow bool) {
	c := m.config.Window
	if m.state != breaker.Closed || c == (breaker.Window{}) {
		return
	}
	call := recent{0, failed, slow}
	if c.Time > 0 {
		tenth := int64(c.Time / 10)
		if call.tenth = int64(at) / tenth; int64(at)%tenth < 0 {
			call.tenth--
		}
	}
	if n := len(m.calls); n > 0 {
		call.tenth = max(call.tenth, m.calls[n-1].tenth)
	}
	m.calls = append(m.calls, call)
	m.calls = slices.DeleteFunc(m.calls, func(r recent) bool { return r.tenth <= call.tenth-10 })
	if c.Calls > 0 && len(m.calls) > c.Calls {
		m.calls = m.calls[1:]
	}
}

func (m *model) counts() (c breaker.Counts) {
	for _, r := range m.calls {
		c.Calls++
		if r.failed {
			c.Failures++
		}
		if r.slow {
			c.Slow++
		}
	}
	return c
}

func (m *model) trips() bool {
	c, w := m.counts(), m.config.Window
	return w != (breaker.Window{}) && c.Calls >= w.MinCalls &&
		(w.FailureRatio > 0 && float64(c.Failures)/float64(c.Calls) >= w.FailureRatio ||
			w.SlowRatio > 0 && float64(c.Slow)/float64(c.Calls) >= w.SlowRatio)
}

func (m *model) open(now time.Duration) {
	m.opened, m.openFor = now, m.config.OpenFor
	m.openings++
	if m.config.Growing != nil {
		m.openFor = m.config.Growing(m.openings)
	}
	m.turn(breaker.Open)
}

func (m *model) force(mode breaker.Mode) {
	if mode == m.mode {
		return
	}
	m.failures, m.openings = 0, 0
	to := breaker.Closed
	if mode == breaker.ForcedOpen {
		to = breaker.Open
	} else if mode == breaker.Automatic && m.mode == breaker.ForcedOpen {
		to = breaker.HalfOpen
	}
	m.mode = mode
	m.turn(to)
}

func (m *model) turn(to breaker.State) {
	m.state = to
	m.changes++
	m.successes, m.calls = 0, nil
	clear(m.probes)
	clear(m.watched)
}

func (m *model) snapshot() breaker.Snapshot {
	return breaker.Snapshot{
		State: m.state, Mode: m.mode, Failures: m.failures, Window: m.counts(), Successes: m.successes,
		Probes: len(m.probes), Changes: m.changes,
	}
}

// op is one call of a method.
type op struct {
	what   byte // 'a'llow, 'd'one, 'e' for DoneAnswered, 'w'atch, 'f'orce or 's'napshot
	now    time.Duration
	permit int // of 'a' the number of the new one, of 'd', 'e' and 'w' that of an earlier one
	out    breaker.Outcome
	took   time.Duration // of 'e'
	mode   breaker.Mode  // of 'f'

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
			o.got = answer{rejected.Unwrap(), rejected.RetryAfter, rejected.Forced}
		}
	case 'd':
		permits[o.permit].Done(o.now, o.out)
	case 'e':
		permits[o.permit].DoneAnswered(o.now, o.took, o.out)
	case 'w':
		permits[o.permit].Watch(func() bool { return true })
	case 'f':
		b.Force(o.mode, o.now)
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
		m.done(o.now, o.permit, o.out, false, 0)
	case 'e':
		m.done(o.now, o.permit, o.out, true, o.took)
	case 'w':
		m.watch(o.permit)
	case 'f':
		m.force(o.mode)
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
			o := op{what: rapid.SampledFrom([]byte("aaaaaaaaaaddddddddeeeewwsf")).Draw(t, "what"), now: now, permit: asked}
			if o.what == 'a' {
				asked++
			}
			if strings.IndexByte("dew", o.what) >= 0 { // any permit, also a rejected or a returned one
				o.permit = rapid.IntRange(0, asked).Draw(t, "permit")
				o.out = rapid.SampledFrom(outcomes).Draw(t, "outcome")
				o.took = time.Duration(rapid.IntRange(0, 5).Draw(t, "took"))
			}
			if o.what == 'f' {
				o.mode = breaker.Mode(rapid.IntRange(0, 2).Draw(t, "mode"))
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
			EstablishedAfter: time.Duration(data[4] % 4), SuccessThreshold: int(data[4] >> 2 % 4),
			Window: windows[int(data[0]>>3)%len(windows)],
		}
		data = data[5:]
		b, m := breaker.New(config), newModel(config)
		permits := make([]breaker.Permit, len(data))
		var now time.Duration
		asked := 0
		for _, c := range data {
			now += time.Duration(c >> 6)
			o := op{what: "adsfdeaw"[c&7], now: now, permit: asked, out: outcomes[c>>3&3], took: time.Duration(c >> 5)}
			if o.mode = breaker.Mode(c >> 4 & 3 % 3); o.what == 'f' && c < 128 { // otherwise it is forced most of the time
				o.what = 'a'
			}
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

// windows are those of tests. Their times are in ns.
var windows = []breaker.Window{
	{},
	{Calls: 5, MinCalls: 3, FailureRatio: 0.5},
	{Calls: 1, MinCalls: 1, FailureRatio: 1},
	{Calls: 70, MinCalls: 2, FailureRatio: 0.7, SlowRatio: 0.5, SlowAfter: 3},
	{Time: 20, MinCalls: 3, FailureRatio: 0.5},
	{Time: 10, MinCalls: 1, SlowRatio: 0.3, SlowAfter: 2},
	{Time: 300, MinCalls: 4, FailureRatio: 0.6, SlowRatio: 1, SlowAfter: 4},
}

// doubled is a Growing with a limit.
func doubled(openings int) time.Duration { return time.Duration(min(1<<min(openings, 20), 30)) }

func drawConfig(t *rapid.T) breaker.Config {
	c := breaker.Config{
		FailureThreshold: rapid.IntRange(1, 4).Draw(t, "threshold"),
		Window:           rapid.SampledFrom(windows).Draw(t, "window"),
		OpenFor:          time.Duration(rapid.IntRange(0, 10).Draw(t, "open for")),
		HalfOpenMaxCalls: rapid.IntRange(1, 3).Draw(t, "half-open"),
		SuccessThreshold: rapid.IntRange(0, 4).Draw(t, "successes"),
		ProbeTimeout:     time.Duration(rapid.SampledFrom([]int{0, 0, 1, 5}).Draw(t, "probe timeout")),
		EstablishedAfter: time.Duration(rapid.SampledFrom([]int{0, 1, 3, 8}).Draw(t, "established after")),
	}
	if rapid.Bool().Draw(t, "growing") {
		c.Growing = doubled
	}
	if c.Window != (breaker.Window{}) {
		c.FailureThreshold = rapid.SampledFrom([]int{0, 3, 20}).Draw(t, "threshold with a window")
	}
	return c
}
