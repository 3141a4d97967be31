package ratelimit

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// ErrLimited is what errors.Is finds in rejections, in this process.
var ErrLimited = errors.New("ratelimit: the rate limit is exceeded")

// Reason is the reason of rejections, as [hauberk.Reason] gives it in this process
// and on the other end.
const Reason = "RATE_LIMITED"

const (
	name    = "ratelimit"
	message = "Rate limit exceeded"
)

// Limiter rejects calls beyond its limit. Make it with [New]. It may be used by any
// number of chains at once, of servers and of clients, which then share the
// quotas.
type Limiter struct {
	config   Config
	now      func() time.Time // nil for the monotonic clock
	clock    func() time.Duration
	quotas   quotas
	own      rejection // of calls counted by their key
	fallback rejection // of calls counted by their peer
	err      error
}

// Option changes what a [Limiter] depends on.
type Option interface{ apply(l *Limiter) }

type option func(l *Limiter)

func (f option) apply(l *Limiter) { f(l) }

// WithClock has the time told by now, in place of the monotonic clock. It must be
// safe for concurrent use. Times without a monotonic reading work.
func WithClock(now func() time.Time) Option {
	return option(func(l *Limiter) {
		l.now = now
		if now == nil {
			l.err = errors.New("WithClock was given a nil function")
		}
	})
}

// New returns an interceptor for both sides. What is wrong with its configuration
// is reported by hauberk.New.
func New(config Config, opts ...Option) *Limiter {
	l := &Limiter{config: config.withDefaults()}
	nils := options.Apply(opts, func(o Option) { o.apply(l) })
	l.err = errors.Join(l.config.check(), l.err, nils)
	if l.err == nil {
		l.quotas, l.err = newQuotas(l.config)
	}
	l.clock = newClock(l.now, l.config.Per)
	rule, kind := l.config.rule(), l.config.By.kind
	l.own = newRejection(kind, rule+kind)
	l.fallback = newRejection("peer", rule+"peer, for want of "+kind)
	if l.config.By.byPeer() {
		l.fallback = l.own
	}
	return l
}

// Declare says where the limiter stands, which state it reads, and what is wrong
// with its configuration.
func (l *Limiter) Declare() hauberk.Declaration {
	d := hauberk.Declaration{
		Name: name, Phase: hauberk.PhaseLimit, Reads: l.config.By.reads, Decides: true, Err: l.err,
	}
	if l.config.By.byPeer() {
		d.Phase = hauberk.PhaseCoarseLimit
	}
	if l.clock == nil {
		d.Err = errors.New("a zero Limiter has no limit; make one with ratelimit.New")
	}
	return d
}

// Intercept lets the call pass if its key has a permit left, and takes it.
func (l *Limiter) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if l.spares(call) {
		call.Abstain()
		return next(ctx, call)
	}
	if wait, why := l.take(ctx, call); wait > 0 {
		return why.reject(call, wait)
	}
	return next(ctx, call)
}

// spares reports whether a call needs no permit: one of an unknown method, which ends as
// UNIMPLEMENTED, and one of a public method if the limit is by identity, which such calls
// do not have. A limit by peer counts both.
func (l *Limiter) spares(call *hauberk.Call) bool {
	if l.config.By.byPeer() {
		return false
	}
	return !l.config.ChargeUnknown && !call.Method().Known() || call.Public() && len(l.config.By.reads) > 0
}

// take takes a permit, or returns how long until there is one, and how to reject.
func (l *Limiter) take(ctx context.Context, call *hauberk.Call) (time.Duration, *rejection) {
	by := &l.config.By
	if by.whole {
		return l.quotas.ofAll(l.clock()), &l.own
	}
	if by.of != nil {
		if key, ok := by.of(ctx, call); ok && key != "" {
			return l.quotas.ofKey(key, l.clock()), &l.own
		}
	}
	return l.quotas.ofPeer(call, by.network, l.clock()), &l.fallback
}

// rejection is what all rejections by one kind of key have in common.
type rejection struct {
	decision hauberk.Decision
	quota    []hauberk.QuotaViolation
}

func newRejection(kind, rule string) rejection {
	return rejection{
		decision: hauberk.Decision{Rule: rule, Verdict: hauberk.Rejected, Reason: Reason},
		quota:    []hauberk.QuotaViolation{{Subject: kind, Description: message}},
	}
}

func (r *rejection) reject(call *hauberk.Call, wait time.Duration) error {
	call.Decide(r.decision)
	return &hauberk.Rejection{
		Code: codes.ResourceExhausted, Reason: Reason, Message: message,
		RetryAfter: wait, QuotaViolations: r.quota, Cause: ErrLimited,
	}
}

// newClock returns the time since a whole multiple of per since 1970 UTC, by now or
// the monotonic clock.
func newClock(now func() time.Time, per time.Duration) func() time.Duration {
	if now == nil {
		epoch := lastMultiple(time.Now(), per)
		return func() time.Duration { return time.Since(epoch) } // reads less than now().Sub
	}
	epoch := lastMultiple(now(), per)
	return func() time.Duration { return now().Sub(epoch) }
}

// lastMultiple returns the last time at or before t that is a whole multiple of per
// since 1970 UTC, with the monotonic reading that t has.
func lastMultiple(t time.Time, per time.Duration) time.Time {
	return t.Add(-(t.Sub(time.Unix(0, 0)) % max(per, 1)))
}
