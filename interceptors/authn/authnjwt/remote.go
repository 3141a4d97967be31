package authnjwt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/authn/internal/flight"
)

// remote keeps fetched keys fresh.
//
//	         wait, waitFor, timer           the fetch ends
//	idle ───────────────────────▶ fetching ────────────────▶ idle
//	  │   (not before MinInterval)    │     (sets the timer)
//	  └──────────── close ────────────┴──────▶ closed
//
// A fetch runs on a separate goroutine, so that a caller that gives up does not end it. There
// is one at most: flight is not nil. Callers wait for it without mu.
type remote struct {
	v     *Validator
	fetch func(ctx context.Context) (*fetched, error)
	ctx   context.Context //nolint:containedctx // of all fetches; it is done when the remote is closed
	stop  context.CancelFunc
	group sync.WaitGroup

	mu      sync.Mutex // guards the following
	closed  bool
	flight  *flight.Flight[*fetched]
	begun   time.Time // when the last fetch began
	last    error     // the outcome of the last fetch
	timer   *time.Timer
	absent  map[string]time.Time // "kid"s that a fetch did not bring, and until when that is believed
	waiting int                  // calls in waitFor
}

const (
	// maxAbsent limits the "kid"s that are known to be absent.
	maxAbsent = 1024
	// absentFor is how many MinIntervals a "kid" is known to be absent. It ends with a refresh
	// that brings it.
	absentFor = 10
	// maxWaiting limits the calls that wait for an unknown "kid". Others are rejected at once.
	maxWaiting = 64
)

var errClosed = errors.New("the validator is closed")

func newRemote(v *Validator) *remote {
	r := &remote{v: v, absent: make(map[string]time.Time)}
	r.fetch = newFetcher(v).keys
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r
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

// waitFor returns when a fetch has ended that may have brought the key of a token, or at once if
// none may be begun, the key is known to be absent, or too many calls wait already.
func (r *remote) waitFor(ctx context.Context, h *head) error {
	r.mu.Lock()
	if until, has := r.absent[h.keyID]; has && r.v.now().Before(until) || r.waiting >= maxWaiting {
		r.mu.Unlock()
		return nil
	}
	f := r.begin()
	if f == nil {
		r.mu.Unlock()
		return nil
	}
	r.waiting++
	r.mu.Unlock()
	_, err := f.Wait(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting--
	if err == nil {
		r.remember(h)
		return nil
	}
	return ctx.Err() // nil if the fetch failed
}

// remember records a "kid" that the last fetch did not bring. The caller holds mu.
func (r *remote) remember(h *head) {
	now := r.v.now()
	if set := r.v.keys.current(now); set == nil {
		return
	} else if _, known := set.candidates(h); known {
		return
	}
	if len(r.absent) >= maxAbsent {
		clear(r.absent)
	}
	r.absent[h.keyID] = now.Add(absentFor * r.v.config.Refresh.MinInterval)
}

// begin returns the fetch in progress, or a new one unless it is too early. The caller holds mu.
func (r *remote) begin() *flight.Flight[*fetched] {
	switch {
	case r.flight != nil:
		return r.flight
	case r.closed:
		r.last = errClosed
		return nil
	case !r.begun.IsZero() && r.v.now().Before(r.begun.Add(r.v.config.Refresh.MinInterval)):
		return nil
	default:
		return r.start()
	}
}

// start begins a fetch. The caller holds mu.
func (r *remote) start() *flight.Flight[*fetched] {
	f := flight.New[*fetched]()
	r.flight, r.begun = f, r.v.now()
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
	next := r.v.config.Refresh.MinInterval
	if err == nil {
		next = r.interval(got.maxAge)
		r.v.logKeys(got.set, r.v.keys.replace(got.set, r.v.now().Add(r.v.config.Refresh.MaxStale)))
	} else if r.ctx.Err() == nil {
		r.v.logger.LogAttrs(r.ctx, slog.LevelWarn, "authnjwt: keys could not be fetched; the last good ones remain",
			slog.String("issuer", r.v.config.Issuer), slog.String("error", err.Error()))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.flight = err, nil
	if !r.closed {
		r.timer = time.AfterFunc(next, r.tick)
	}
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

// tick refreshes the keys, unless a call has begun that already.
func (r *remote) tick() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed && r.flight == nil {
		r.start()
	}
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
