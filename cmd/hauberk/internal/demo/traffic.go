package demo

import (
	"context"
	"sync"
	"time"
)

const (
	maxInFlight = 64               // scenarios at a time; the server takes 100 calls of a connection
	callTimeout = 10 * time.Second // far beyond what any call needs
	grace       = 2 * time.Second  // for calls in flight at the end
	finestTick  = 2 * time.Millisecond
	maxLag      = 100 * time.Millisecond
)

// traffic plays the scenarios in turn, again and again.
type traffic struct {
	crowd     crowd
	scenarios []scenario
	rate      int // calls a second
	grace     time.Duration
	slots     chan struct{}
	players   sync.WaitGroup
	played    int // how many scenarios have been started
}

func newTraffic(c crowd, rate int) *traffic {
	return &traffic{
		crowd: c, scenarios: round(), rate: rate, grace: grace, slots: make(chan struct{}, maxInFlight),
	}
}

// run plays every scenario once, all at the same time and whatever becomes of ctx,
// so that even the shortest run has them all; then one after the other at the rate,
// until ctx is done. It returns when all have ended: those in flight then have a
// grace to finish in, and are cancelled after that.
func (t *traffic) run(ctx context.Context) {
	first := context.WithoutCancel(ctx)
	for range t.scenarios {
		t.start(first, first)
	}
	calls, cancel := context.WithCancel(first)
	defer cancel()
	t.pace(ctx, calls)
	defer time.AfterFunc(t.grace, cancel).Stop()
	t.players.Wait()
}

// pace starts what is due at each tick. Timers are not fine enough for a tick a
// call at high rates; what is later than maxLag is left out.
func (t *traffic) pace(ctx, calls context.Context) {
	every := time.Second / time.Duration(t.rate)
	ticker := time.NewTicker(max(every, finestTick))
	defer ticker.Stop()
	due := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if oldest := now.Add(-maxLag); due.Before(oldest) {
				due = oldest
			}
			for due.Before(now) && ctx.Err() == nil {
				due = due.Add(every * time.Duration(t.start(ctx, calls)))
			}
		}
	}
}

// start plays the next scenario beside the others, when there is a slot for it, and
// returns how many calls that makes.
func (t *traffic) start(ctx, calls context.Context) int {
	select {
	case <-ctx.Done():
		return 0
	case t.slots <- struct{}{}:
	}
	sc := t.scenarios[t.played%len(t.scenarios)]
	t.played++
	t.players.Go(func() {
		defer func() { <-t.slots }()
		ctx, cancel := context.WithTimeout(calls, callTimeout)
		defer cancel()
		_ = sc.play(ctx, t.crowd[sc.who]) // the chains have seen how it ended
	})
	return sc.calls
}
