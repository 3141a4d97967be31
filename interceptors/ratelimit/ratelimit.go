package ratelimit

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// ErrLimited is found by errors.Is in rejections, in this process.
var ErrLimited = errors.New("ratelimit: the rate limit is exceeded")

// ReasonLimited is the reason of rejections ([hauberk.Reason]), on both sides.
const ReasonLimited = "RATE_LIMITED"

const (
	name    = "ratelimit"
	message = "Rate limit exceeded"
)

// Interceptor limits calls. Make it with [New]. It may be used by any number of chains at
// once, of servers and of clients, which then share the quotas.
type Interceptor struct {
	config   Config
	now      func() time.Time // nil for the monotonic clock
	clock    func() time.Duration
	quotas   quotas
	own      rejection // of calls that are counted by their key
	fallback rejection // of calls that are counted by their peer
	settings func(method string) []hauberk.Setting
	err      error
}

// New returns an interceptor for both sides. hauberk.New reports what is wrong with its
// configuration.
func New(config Config, opts ...Option) *Interceptor {
	x := &Interceptor{config: config.withDefaults()}
	nils := options.Apply(opts, func(o Option) { o.apply(x) })
	x.err = errors.Join(x.config.check(), x.err, nils)
	if x.err == nil {
		x.quotas, x.err = newQuotas(x.config)
	}
	x.clock = newClock(x.now, x.config.Per)
	rule, kind := x.config.rule(), x.config.By.kind
	x.own = newRejection(kind, rule+kind)
	x.fallback = newRejection("peer", rule+"peer, without "+kind)
	if x.config.By.byPeer() {
		x.fallback = x.own
	}
	return x
}

// Declare describes the interceptor to the checks of a chain.
func (x *Interceptor) Declare() hauberk.Declaration {
	d := hauberk.Declaration{
		Name: name, Detail: x.config.By.kind, Phase: hauberk.PhaseLimit, Reads: x.config.By.reads, Decides: true,
		Settings: x.settings, Err: x.err,
	}
	if x.config.By.byPeer() {
		d.Phase = hauberk.PhaseCoarseLimit
	}
	if x.clock == nil {
		d.Err = errors.New("a zero Interceptor has no limit; make one with ratelimit.New")
	}
	return d
}

// Intercept takes a permit for the call, or rejects it if its key has none.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if x.spares(call) {
		call.Abstain()
		return next(ctx, call)
	}
	if wait, why := x.take(ctx, call); wait > 0 {
		return why.reject(call, wait)
	}
	return next(ctx, call)
}

// spares reports whether a call needs no permit: one of an unknown method, which ends as
// UNIMPLEMENTED, and one of a public method if the limit is by identity, which such calls
// do not have. A limit by peer counts both.
func (x *Interceptor) spares(call *hauberk.Call) bool {
	if x.config.By.byPeer() {
		return false
	}
	return !x.config.ChargeUnknown && !call.Method().Known() || call.Public() && len(x.config.By.reads) > 0
}

// take takes a permit, or returns the time until there is one, and how to reject.
func (x *Interceptor) take(ctx context.Context, call *hauberk.Call) (time.Duration, *rejection) {
	by := &x.config.By
	if by.whole {
		return x.quotas.ofAll(x.clock()), &x.own
	}
	if by.of != nil {
		if key, ok := by.of(ctx, call); ok && key != "" {
			return x.quotas.ofKey(key, x.clock()), &x.own
		}
	}
	return x.quotas.ofPeer(call, by.network, x.clock()), &x.fallback
}

// rejection is the common part of the rejections by one kind of key.
type rejection struct {
	decision hauberk.Decision
	quota    []hauberk.QuotaViolation
}

func newRejection(kind, rule string) rejection {
	return rejection{
		decision: hauberk.Decision{Rule: rule, Verdict: hauberk.Rejected, Reason: ReasonLimited},
		quota:    []hauberk.QuotaViolation{{Subject: kind, Description: message}},
	}
}

func (r *rejection) reject(call *hauberk.Call, wait time.Duration) error {
	call.Decide(r.decision)
	return &hauberk.Rejection{
		Code: codes.ResourceExhausted, Reason: ReasonLimited, Message: message,
		RetryAfter: wait, QuotaViolations: r.quota, Cause: ErrLimited,
	}
}

// newClock returns a clock that shows the time since a whole multiple of per since 1970 UTC.
// It uses now, or the monotonic clock if now is nil.
func newClock(now func() time.Time, per time.Duration) func() time.Duration {
	if now == nil {
		epoch := lastMultiple(time.Now(), per)
		return func() time.Duration { return time.Since(epoch) } // cheaper than now().Sub
	}
	epoch := lastMultiple(now(), per)
	return func() time.Duration { return now().Sub(epoch) }
}

// lastMultiple returns the last time at or before t that is a whole multiple of per
// since 1970 UTC, with the monotonic reading that t has.
func lastMultiple(t time.Time, per time.Duration) time.Time {
	return t.Add(-(t.Sub(time.Unix(0, 0)) % max(per, 1)))
}
