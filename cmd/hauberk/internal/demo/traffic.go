package demo

import (
	"context"
	"sync"
	"time"
)

const (
	maxInFlight = 64               // concurrent scenarios; the server accepts 100 streams per connection
	callTimeout = 10 * time.Second // much longer than any call takes
	grace       = 2 * time.Second  // for calls in flight at the end
	finestTick  = 2 * time.Millisecond
	maxLag      = 100 * time.Millisecond
)

// traffic plays the scenarios in turn, repeatedly.
type traffic struct {
	crowd     crowd
	scenarios []scenario
	rate      int // calls per second
	grace     time.Duration
	slots     chan struct{}
	players   sync.WaitGroup
	played    int // number of scenarios started
}

func newTraffic(c crowd, rate int) *traffic {
	return &traffic{
		crowd: c, scenarios: round(), rate: rate, grace: grace, slots: make(chan struct{}, maxInFlight),
	}
}

// run plays every scenario once, concurrently and even if ctx is done, so that the
// shortest run has all of them. Then it starts them one by one at the rate until ctx is
// done. Calls in flight then have the grace period to finish and are cancelled after it.
// run returns when all calls have ended.
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

// pace starts the scenarios that are due at each tick. At high rates timers are too coarse
// for one tick per call. Scenarios that are late by more than maxLag are skipped.
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

// start waits for a free slot and plays the next scenario concurrently with the others.
// It returns the scenario's number of calls.
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
		_ = sc.play(ctx, t.crowd[sc.who]) // the chains have counted the outcome
	})
	return sc.calls
}
