package authnjwt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/backoff"
	"github.com/hauberk-rpc/hauberk/internal/flight"
)

// remote keeps fetched keys fresh.
//
//	         wait, waitFor, timer           the fetch ends
//	idle ───────────────────────▶ fetching ────────────────▶ idle
//	  │   (not before earliest,       │     (sets the timer)
//	  │       stops the timer)        │
//	  └──────────── close ────────────┴──────▶ closed
//
// A fetch runs on a separate goroutine, so that a caller that gives up does not end it. There
// is one at most: flight is not nil. Callers wait for it without mu.
type remote struct {
	v      *Validator
	fetch  func(ctx context.Context) (*fetched, error)
	ctx    context.Context //nolint:containedctx // of all fetches; it is done when the remote is closed
	stop   context.CancelFunc
	group  sync.WaitGroup
	delays *backoff.Backoff // after failures, while there are no keys

	mu       sync.Mutex // guards the following
	closed   bool
	flight   *flight.Flight[*fetched]
	earliest time.Time   // of the next fetch
	failures int         // in succession, while there are no keys
	last     error       // the outcome of the last fetch
	timer    *time.Timer // of the next refresh; it runs only while idle
	waiting  int         // calls in waitFor
}

const (
	// maxWaiting limits the calls that wait for an unknown key. Others are rejected at once.
	maxWaiting = 64
	// firstRetry is about when a fetch is made again after the first failure, while there are no keys.
	firstRetry = time.Second
)

var errClosed = errors.New("the validator is closed")

func newRemote(v *Validator) (*remote, error) {
	least := v.config.Refresh.MinInterval
	delays, err := backoff.New(backoff.Config{Initial: min(firstRetry, least), Max: least, Jitter: 0.2})
	if err != nil {
		return nil, err
	}
	r := &remote{v: v, delays: delays}
	r.fetch = newFetcher(v).keys
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r, nil
}

// wait returns when there are usable keys. It waits for the fetch in progress, or for one that it
// begins. The error says why there are none.
func (r *remote) wait(ctx context.Context) error {
	r.mu.Lock()
	if r.v.keys.current(r.v.now()) != nil {
		r.mu.Unlock()
		return nil
	}
	f := r.begin()
	last := r.last
	r.mu.Unlock()
	if f == nil {
		return fmt.Errorf("%w: the last fetch failed: %w", ErrKeys, last)
	}
	_, err := f.Wait(ctx)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		return fmt.Errorf("%w: %w", ErrKeys, err)
	}
}

// waitFor returns when a fetch has ended that may have brought an unknown key, and whether it was good. It
// returns at once if no fetch may be begun, or too many calls wait already. The error is that of ctx.
func (r *remote) waitFor(ctx context.Context) (fetched bool, err error) {
	r.mu.Lock()
	if r.waiting >= maxWaiting {
		r.mu.Unlock()
		return false, nil
	}
	f := r.begin()
	if f == nil {
		r.mu.Unlock()
		return false, nil
	}
	r.waiting++
	r.mu.Unlock()
	_, err = f.Wait(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting--
	if err != nil {
		return false, ctx.Err() // nil if the fetch failed
	}
	return true, nil
}

// begin returns the fetch in progress, or a new one unless it is too early. The caller holds mu.
func (r *remote) begin() *flight.Flight[*fetched] {
	switch {
	case r.flight != nil:
		return r.flight
	case r.closed:
		r.last = errClosed
		return nil
	case r.v.now().Before(r.earliest):
		return nil
	default:
		return r.start()
	}
}

// start begins a fetch. The caller holds mu.
func (r *remote) start() *flight.Flight[*fetched] {
	f := flight.New[*fetched]()
	r.flight, r.earliest = f, r.v.now().Add(r.v.config.Refresh.MinInterval)
	if r.timer != nil {
		r.timer.Stop() // land sets it again
	}
	r.group.Go(func() {
		f.Run(r.get, func(how string) error { return errors.New("the fetch of keys " + how) }, r.land)
	})
	return f
}

// get fetches the keys once.
func (r *remote) get() (*fetched, error) {
	ctx, cancel := context.WithTimeout(r.ctx, r.v.config.Refresh.Timeout)
	defer cancel()
	return r.fetch(ctx)
}

// land ends a fetch: it puts the keys into force, and sets the timer of the next fetch.
func (r *remote) land(got *fetched, err error) {
	changed := false
	if err == nil {
		changed = r.v.keys.replace(got.set, r.v.now().Add(r.v.config.Refresh.MaxStale))
	}
	r.settle(got, err)
	switch {
	case err == nil:
		r.v.logKeys(got.set, changed)
	case r.ctx.Err() == nil:
		r.v.logger.LogAttrs(r.ctx, slog.LevelWarn, "authnjwt: keys could not be fetched; the last good ones remain",
			slog.String("issuer", r.v.config.Issuer), slog.String("error", err.Error()))
	}
}

// settle makes the remote idle, and sets the timer of the next fetch.
func (r *remote) settle(got *fetched, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.flight = err, nil
	next, now := r.v.config.Refresh.MinInterval, r.v.now()
	switch {
	case err == nil:
		r.failures, next = 0, r.interval(got.maxAge)
	case r.v.keys.current(now) == nil:
		r.failures++
		next = r.delays.Delay(r.failures)
		r.earliest = now.Add(next)
	}
	if !r.closed {
		r.setTimer(next)
	}
}

// setTimer makes tick run once, after a time. The caller holds mu.
func (r *remote) setTimer(after time.Duration) {
	if r.timer == nil {
		r.timer = time.AfterFunc(after, r.tick)
		return
	}
	r.timer.Reset(after)
}

// interval returns the time until the next refresh, up to a tenth shorter at random, so that the
// servers of a fleet do not fetch at the same time.
func (r *remote) interval(maxAge time.Duration) time.Duration {
	c := r.v.config.Refresh
	d := c.Interval
	if maxAge >= 0 {
		d = min(maxAge, c.MaxInterval)
	}
	return max(d-rand.N(d/10+1), c.MinInterval)
}

// tick refreshes the keys, unless a call has begun that already. It may run late, after a fetch that
// stopped the timer in vain, and the clock of the validator may be another one than the timer's: it
// comes back if it is too early.
func (r *remote) tick() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.flight != nil {
		return
	}
	if early := r.earliest.Sub(r.v.now()); early > 0 {
		r.setTimer(early)
		return
	}
	r.start()
}

// close ends the fetch in progress and the timer, and waits for both.
func (r *remote) close() {
	r.mu.Lock()
	r.closed = true
	if r.timer != nil {
		r.timer.Stop()
	}
	r.mu.Unlock()
	r.stop()
	r.group.Wait()
}
