package inflight

import (
	"context"
	"time"
)

// Clock is the time of calls that wait.
type Clock struct {
	Now func() time.Duration
	// AfterFunc calls f after d, on any goroutine, unless stop is called before.
	AfterFunc func(d time.Duration, f func()) (stop func() bool)
}

// Wait lets a call wait for a slot that Try did not give it, and sets its slot. It returns the
// reason for a rejection, or the error of ctx if that ends first. The deadline of ctx does not
// replace that of r.
func (l *Limiter) Wait(ctx context.Context, clock Clock, r *Request, s *Slot) error {
	if l.config.MaxWaiting == 0 {
		return l.Reject()
	}
	ready, expired := make(chan struct{}), make(chan struct{})
	now := clock.Now()
	k := l.Enqueue(now, r, func() { close(ready) })
	if done, err := k.Result(s); done {
		return err
	}
	stop := clock.AfterFunc(k.Until()-now, func() { close(expired) })
	defer stop()
	select {
	case <-ready:
	case <-expired:
		k.Expire(clock.Now())
	case <-ctx.Done():
		k.Cancel(clock.Now())
		return ctx.Err()
	}
	_, err := k.Result(s)
	return err
}
