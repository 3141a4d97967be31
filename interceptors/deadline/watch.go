package deadline

import (
	"sync"
	"time"

	"github.com/hauberk-rpc/hauberk"
)

// looks returns how often a timer looks at a call: eight times in the shortest timeout of
// messages. It is 0 if there is none.
func (v *values) looks() time.Duration {
	shortest := none
	for _, s := range [...]setting{receiveTimeout, sendTimeout, idleTimeout} {
		if d := v.times[s]; d > 0 {
			shortest = min(shortest, d)
		}
	}
	if shortest == none {
		return 0
	}
	return min(max((shortest+7)/8, time.Millisecond), 10*time.Second)
}

// watcher looks at a call at intervals, and ends it if nothing has moved for too long. It reads what
// the call counts anyway, so that messages cost nothing.
type watcher struct {
	end    *ender
	limits *limits

	mu      sync.Mutex // guards the fields below
	timer   *time.Timer
	stopped bool
	before  moment
	// how long it is known that nothing was received or sent, that a receive waits, and that a
	// send waits
	quiet, receives, sends time.Duration
}

// moment is what a look at a call sees.
type moment struct {
	received, sent     int64
	receiving, sending bool
}

// watch starts to look at a call, until stop is called or the call is ended.
func watch(e *ender, l *limits) *watcher {
	e.call.CountMessages()
	w := &watcher{end: e, limits: l, before: look(e.call)}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(l.interval, w.look)
	return w
}

// look returns the state of a call. A single response, which only the goroutine of the chain may ask
// for, is the end of its call.
func look(call *hauberk.Call) (m moment) {
	if call.Side() == hauberk.ServerSide || call.Kind().ServerStreams() {
		m.received = call.TotalReceived()
	}
	if call.Side() == hauberk.ClientSide || call.Kind().ServerStreams() {
		m.sent = call.TotalSent()
	}
	m.receiving, m.sending = call.Receiving(), call.Sending()
	return m
}

// look looks at the call again, on the goroutine of the timer.
func (w *watcher) look() {
	w.mu.Lock()
	if w.stopped {
		w.mu.Unlock()
		return
	}
	now := look(w.end.call)
	interval, before := w.limits.interval, w.before
	w.before = now
	sum := func(d *time.Duration, goesOn bool) {
		if *d += interval; !goesOn {
			*d = 0
		}
	}
	received, sent := now.received != before.received, now.sent != before.sent
	sum(&w.quiet, !received && !sent)
	sum(&w.receives, before.receiving && now.receiving && !received)
	sum(&w.sends, before.sending && now.sending && !sent)
	c := w.expired()
	if c == nil {
		w.timer.Reset(interval)
	}
	w.mu.Unlock()
	if c != nil {
		w.end.end(c, w.limits.times[c.setting])
	}
}

// expired returns the timeout that has passed, or nil. The lock is held.
func (w *watcher) expired() *cause {
	passed := func(d time.Duration, s setting) bool {
		limit := w.limits.times[s]
		return limit > 0 && d >= limit
	}
	switch {
	case passed(w.receives, receiveTimeout):
		return &receiving
	case passed(w.sends, sendTimeout):
		return &sending
	case passed(w.quiet, idleTimeout):
		return &idling
	default:
		return nil
	}
}

// stop ends the timer.
func (w *watcher) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.timer.Stop()
}
