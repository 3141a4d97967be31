package breaker_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/breaker"
)

// history is what several goroutines did concurrently to one breaker.
type history struct {
	config  breaker.Config
	start   *model // of the breaker before
	threads [][]event

	breaker *breaker.Breaker
	permits []breaker.Permit
	moment  atomic.Int64
}

// event is an operation with the times of its beginning and end.
type event struct {
	op
	began, ended int64
}

// newHistory makes a breaker in a random state, and draws the operations of goroutines.
func newHistory(random *rand.Rand) *history {
	h := &history{
		config: breaker.Config{
			FailureThreshold: random.IntN(3) + 1, OpenFor: 10,
			HalfOpenMaxCalls: random.IntN(2) + 1, ProbeTimeout: time.Duration(random.IntN(2) * 5),
			EstablishedAfter: time.Duration(random.IntN(3) * 3), SuccessThreshold: random.IntN(3),
			Window: windows[random.IntN(len(windows))],
		},
		permits: make([]breaker.Permit, 8+8*4),
	}
	h.breaker, h.start = breaker.New(h.config), newModel(h.config)
	d := drawer{Rand: random}
	for range random.IntN(8) {
		o := d.draw(0)
		o.run(h.breaker, h.permits)
		o.agrees(h.start)
	}
	before := d.held
	for range random.IntN(3) + 2 {
		share := len(before) / 2 // one goroutine calls Done of a permit
		d.held, before = slices.Clone(before[:share]), before[share:]
		var events []event
		for range random.IntN(8) + 1 {
			events = append(events, event{op: d.draw(time.Duration(random.IntN(3) * 6))})
		}
		h.threads = append(h.threads, events)
	}
	return h
}

// drawer draws the operations of one goroutine.
type drawer struct {
	*rand.Rand
	asked int
	held  []int // the permits that it may return
}

func (d *drawer) draw(now time.Duration) op {
	switch n := d.IntN(18); {
	case n == 17:
		return op{what: 'f', now: now, mode: breaker.Mode(d.IntN(3))}
	case n < 8 || len(d.held) == 0:
		d.held = append(d.held, d.asked)
		d.asked++
		return op{what: 'a', now: now, permit: d.asked - 1}
	case n < 16:
		return op{
			what: "dew"[d.IntN(3)], now: now, permit: d.held[d.IntN(len(d.held))], out: outcomes[d.IntN(len(outcomes))],
			took: time.Duration(d.IntN(5)),
		}
	}
	return op{what: 's'}
}

func (h *history) run() {
	var threads sync.WaitGroup
	var ready atomic.Int32
	for _, events := range h.threads {
		threads.Go(func() {
			ready.Add(1)
			for int(ready.Load()) < len(h.threads) { // with a channel they would start one after the other
				runtime.Gosched()
			}
			for i := range events {
				events[i].began = h.moment.Add(1)
				events[i].run(h.breaker, h.permits)
				events[i].ended = h.moment.Add(1)
			}
		})
	}
	threads.Wait()
}

func (h *history) linearizable() bool { return explained(h.start, slices.Clone(h.threads)) }

// explained reports whether an order of the remaining events in threads agrees with m.
func explained(m *model, threads [][]event) bool {
	firstEnd, left := int64(0), false
	for _, events := range threads {
		if len(events) > 0 && (!left || events[0].ended < firstEnd) {
			firstEnd, left = events[0].ended, true
		}
	}
	for i, events := range threads {
		if len(events) == 0 || events[0].began > firstEnd {
			continue // another must be before
		}
		next, rest := m.clone(), slices.Clone(threads)
		rest[i] = events[1:]
		if events[0].agrees(next) && explained(next, rest) {
			return true
		}
	}
	return !left
}

// overlaps reports whether two operations ran concurrently.
func (h *history) overlaps() bool {
	for i, events := range h.threads {
		for _, others := range h.threads[:i] {
			for i := range events {
				for j := range others {
					a, b := &events[i], &others[j]
					if a.began < b.ended && b.began < a.ended {
						return true
					}
				}
			}
		}
	}
	return false
}

func (h *history) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "start: %+v\n", h.start)
	for i, events := range h.threads {
		for j := range events {
			e := &events[j]
			fmt.Fprintf(&text, "%d: [%d, %d] %c at %d, permit %d, outcome %d: %+v %+v\n",
				i, e.began, e.ended, e.what, e.now, e.permit, e.out, e.got, e.snap)
		}
	}
	return text.String()
}
