package metricsotel

import (
	"context"
	"sync"
	"time"
)

// attempts counts the attempts of one call on a client for the instruments of gRFC A96. An attempt
// that begins while another one runs is a hedge, and one that begins after the others is a retry.
// Its methods are safe for concurrent use and do nothing on nil.
type attempts struct {
	mu              sync.Mutex
	running         int
	begun           bool
	retries, hedges int64
	idleSince       time.Duration // end of the last running attempt
	delay           time.Duration // total time without an attempt before a retry
}

func (a *attempts) begin(now time.Duration) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.running > 0:
		a.hedges++
	case a.begun:
		a.retries++
		a.delay += max(now-a.idleSince, 0)
	}
	a.begun = true
	a.running++
}

func (a *attempts) end(now time.Duration) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running--
	if a.running == 0 {
		a.idleSince = now
	}
}

// record records the retries and hedges of a call that has ended. It does not record zeros.
func (a *attempts) record(ctx context.Context, i *callInstruments, s *series) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.retries > 0 {
		i.retries.Record(ctx, a.retries, s.record...)
		i.retryDelay.Record(ctx, a.delay.Seconds(), s.record...)
	}
	if a.hedges > 0 {
		i.hedges.Record(ctx, a.hedges, s.record...)
	}
}
