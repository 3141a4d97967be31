package inflight_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hauberk-rpc/hauberk/internal/engine/inflight"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// world is a limiter, with what a plain account says that it must hold.
type world struct {
	*rapid.T

	limiter *inflight.Limiter
	config  inflight.Config
	limit   int
	now     time.Duration
	running []*caller
	waiting []*caller // in the order of arrival
	seen    map[string]time.Duration
}

// caller is one call.
type caller struct {
	inflight.Request

	slot   inflight.Slot
	ticket *inflight.Ticket
	asked  time.Duration
	woken  bool
}

// TestModel compares a limiter with a plain account of the calls, over any calls of some
// tenants. Never more calls than the limit are admitted; no call is lost; none waits longer
// than MaxWait or while it may run.
func TestModel(t *testing.T) {
	testseed.Check(t, func(r *rapid.T) {
		w := &world{T: r, limit: rapid.IntRange(1, 6).Draw(r, "limit"), seen: make(map[string]time.Duration)}
		w.config = inflight.Config{
			Limit: w.limit, MaxWaiting: rapid.IntRange(0, 5).Draw(r, "waiting"), MaxWait: 20, Hold: 30, Timed: true,
		}
		if err := w.config.Validate(); err != nil {
			r.Fatal(err)
		}
		w.limiter = inflight.New(w.config)
		for range rapid.IntRange(1, 80).Draw(r, "steps") {
			w.step()
			w.check()
		}
		for len(w.running)+len(w.waiting) > 0 { // all end
			w.now += 100
			w.expire()
			for len(w.running) > 0 {
				w.release(0)
			}
			w.check()
		}
	})
}

func (w *world) step() {
	switch rapid.SampledFrom([]string{"ask", "ask", "ask", "release", "release", "cancel", "time", "limit"}).Draw(w.T, "step") {
	case "ask":
		w.ask()
	case "release":
		if len(w.running) > 0 {
			w.release(rapid.IntRange(0, len(w.running)-1).Draw(w.T, "which"))
		}
	case "cancel":
		if len(w.waiting) > 0 {
			i := rapid.IntRange(0, len(w.waiting)-1).Draw(w.T, "which")
			w.waiting[i].ticket.Cancel(w.now)
			w.waiting = slices.Delete(w.waiting, i, i+1)
		}
	case "time":
		w.now += time.Duration(rapid.IntRange(1, 15).Draw(w.T, "passes"))
		w.expire()
	case "limit":
		w.limit = rapid.IntRange(1, 6).Draw(w.T, "limit")
		before := len(w.running)
		w.limiter.SetLimit(w.now, w.limit)
		w.collect(before)
	}
}

func (w *world) ask() {
	c := &caller{asked: w.now, Request: inflight.Request{
		Tenant:   rapid.SampledFrom([]string{"a", "a", "b", "c"}).Draw(w.T, "tenant"),
		Priority: rapid.IntRange(0, 2).Draw(w.T, "priority"),
	}}
	if rapid.Bool().Draw(w.T, "hurried") {
		c.HasDeadline, c.Deadline = true, w.now+time.Duration(rapid.IntRange(0, 30).Draw(w.T, "left"))
	}
	w.seen[c.Tenant] = w.now
	may := w.mayRun(c.Tenant)
	if got := w.limiter.Try(w.now, &c.Request, &c.slot); got != may {
		w.Fatalf("at %d: a call of %s was admitted: %t, want %t: %s", w.now, c.Tenant, got, may, w)
	}
	if may {
		w.running = append(w.running, c)
		return
	}
	if w.config.MaxWaiting == 0 {
		return
	}
	c.ticket = w.limiter.Enqueue(w.now, &c.Request, func() { c.woken = true })
	if done, err := c.ticket.Result(&c.slot); !done {
		w.waiting = append(w.waiting, c)
	} else if err == nil {
		w.Fatalf("Enqueue admitted a call that Try did not")
	}
	w.collect(len(w.running))
}

func (w *world) release(i int) {
	c := w.running[i]
	w.running = slices.Delete(w.running, i, i+1)
	w.seen[c.Tenant] = w.now
	before := len(w.running)
	w.limiter.Release(w.now, &c.slot, true)
	if c.slot.Held() {
		w.Fatalf("a slot is held after Release")
	}
	w.limiter.Release(w.now, &c.slot, true) // does nothing
	w.collect(before)
}

// expire ends the waiting of calls whose time is over.
func (w *world) expire() {
	for _, c := range slices.Clone(w.waiting) {
		if c.ticket.Until() <= w.now && !c.woken {
			before := len(w.running)
			c.ticket.Expire(w.now)
			c.woken = true
			w.collect(before)
		}
	}
}

// collect takes the calls that are no longer waiting. At most the limit may be in flight if any
// was admitted.
func (w *world) collect(before int) {
	for _, c := range slices.Clone(w.waiting) {
		done, err := c.ticket.Result(&c.slot)
		if done != c.woken {
			w.Fatalf("a call is done: %t, its notification came: %t", done, c.woken)
		}
		if !done {
			continue
		}
		w.waiting = slices.DeleteFunc(w.waiting, func(other *caller) bool { return other == c })
		if err == nil {
			w.running = append(w.running, c)
		}
	}
	if len(w.running) > before && len(w.running) > w.limit {
		w.Fatalf("%d calls are in flight after an admission, the limit is %d", len(w.running), w.limit)
	}
}

// mayRun is the rule of admission: below its share a tenant gets any free slot, else one that
// the others have not left of their shares, or one of half of the limit.
func (w *world) mayRun(tenant string) bool {
	free, share, left := w.limit-len(w.running), w.share(), 0
	for name := range w.active() {
		if name != tenant {
			left += share - min(w.count(name), share)
		}
	}
	return free > 0 && (w.count(tenant) < share || free > min(left, w.limit-w.limit/2))
}

func (w *world) share() int { return max(w.limit/max(len(w.active()), 1), 1) }

// active returns the tenants that have calls, or had one within Hold. One that asks is active.
func (w *world) active() map[string]bool {
	active := make(map[string]bool)
	for name, at := range w.seen {
		if w.count(name) > 0 || w.now-at < w.config.Hold {
			active[name] = true
		}
	}
	for _, c := range w.waiting {
		active[c.Tenant] = true
	}
	return active
}

func (w *world) count(tenant string) (n int) {
	for _, c := range w.running {
		if c.Tenant == tenant {
			n++
		}
	}
	return n
}

func (w *world) check() {
	s := w.limiter.Snapshot()
	if s.Running != len(w.running) || s.Waiting != len(w.waiting) || s.Limit != w.limit || w.limiter.Running() != s.Running {
		w.Fatalf("snapshot %+v, want %s", s, w)
	}
	if s.Waiting > w.config.MaxWaiting {
		w.Fatalf("%d calls wait, want at most %d", s.Waiting, w.config.MaxWaiting)
	}
	for _, c := range w.waiting {
		if c.ticket.Until() > c.asked+w.config.MaxWait {
			w.Fatalf("a call waits until %d, it asked at %d", c.ticket.Until(), c.asked)
		}
		if len(w.running) < w.limit && w.count(c.Tenant) < w.lowestShare() {
			w.Fatalf("at %d a call of %s waits below its share: %s", w.now, c.Tenant, w)
		}
	}
}

// lowestShare is the share if no tenant lost its own since it was last computed.
func (w *world) lowestShare() int { return max(w.limit/max(len(w.seen), 1), 1) }

func (w *world) String() string {
	return fmt.Sprintf("%d of %d in flight (a %d, b %d, c %d), %d waiting, share %d",
		len(w.running), w.limit, w.count("a"), w.count("b"), w.count("c"), len(w.waiting), w.share())
}
