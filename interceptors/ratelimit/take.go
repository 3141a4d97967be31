package ratelimit

import (
	"context"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/engine/gcra"
	"github.com/hauberk-rpc/hauberk/internal/quota"
)

// Never is the RetryAfter of a call that can never be admitted, since it costs more than the burst.
const Never = gcra.Never

// Decision is the answer to one request for permits.
type Decision struct {
	// OK reports whether the permits were taken, or would have been if those of other limits had
	// been there too.
	OK bool
	// RetryAfter is the shortest time after which the same request can be admitted, if no
	// other request takes permits meanwhile. It is 0 if OK is true, otherwise positive, and
	// [Never] if the request can never be admitted.
	RetryAfter time.Duration
	// Remaining is the number of permits that can still be taken now.
	Remaining int
	// ResetAfter is the time until the whole quota is available, if no request takes permits.
	ResetAfter time.Duration
}

// demand asks for permits of one limit.
type demand struct {
	limit   *limit
	at      quota.Place
	key     []byte
	permits int
}

// outcome is the answer that matters most to a client: the rejection with the longest wait, or else the
// limit of which the smallest part remains.
type outcome struct {
	limit *limit // nil if no limit counts the call
	at    quota.Place
	Decision
}

// consider keeps an answer if it matters more.
func (s *outcome) consider(d *demand, answer Decision) {
	switch {
	case s.limit == nil, s.OK && !answer.OK:
	case !s.OK && (answer.OK || answer.RetryAfter <= s.RetryAfter):
		return
	case s.OK && float64(s.Remaining)*float64(d.limit.config.Burst) <=
		float64(answer.Remaining)*float64(s.limit.config.Burst):
		return
	}
	*s = outcome{d.limit, d.at, answer}
}

// rejection returns how to reject, or nil if the permits were taken.
func (s *outcome) rejection() *rejection {
	switch {
	case s.limit == nil || s.OK:
		return nil
	case s.at == quota.OfPeers:
		return &s.limit.fallback
	default:
		return &s.limit.own
	}
}

// usualKey is the room for a key on the stack, in bytes.
const usualKey = 64

// admit takes the permits that a call costs, or returns its rejection. It writes the outcome to
// kept unless that is nil.
//
//go:noinline // its variables would be on the stack of Intercept as long as the call runs
func (x *Interceptor) admit(ctx context.Context, call *hauberk.Call, kept *outcome) error {
	if len(x.limits) > 1 || x.shared != nil {
		return x.admitAll(ctx, call, kept)
	}
	l := &x.limits[0]
	if l.config.By.Spares(call, x.config.ChargeUnknown) {
		call.Abstain()
		return nil
	}
	n := l.prices.ofCall(ctx, call)
	if n == 0 {
		return nil
	}
	var room [usualKey]byte
	at, key := l.key(ctx, call, room[:0])
	answer := Decision(l.memory.Do(quota.Take, at, key, x.clock(), n))
	if kept != nil {
		*kept = outcome{l, at, answer}
	}
	if answer.OK {
		return nil
	}
	return x.limited(&outcome{l, at, answer}).reject(call, "")
}

// admitAll is admit for several limits, and for quotas in a store.
func (x *Interceptor) admitAll(ctx context.Context, call *hauberk.Call, kept *outcome) error {
	demands := make([]demand, 0, len(x.limits))
	counted := false
	for i := range x.limits {
		l := &x.limits[i]
		if l.config.By.Spares(call, x.config.ChargeUnknown) {
			continue
		}
		counted = true
		if n := l.prices.ofCall(ctx, call); n > 0 {
			demands = append(demands, l.demand(ctx, call, n))
		}
	}
	if !counted {
		call.Abstain()
	}
	if len(demands) == 0 {
		return nil
	}
	s, v, err := x.takeAny(ctx, demands)
	switch {
	case err != nil:
		return err
	case v != nil:
		return v.reject(call, "")
	}
	if kept != nil {
		*kept = s
	}
	return nil
}

// key returns where the quota of a call is, and its key in room if that is large enough.
func (l *limit) key(ctx context.Context, call *hauberk.Call, room []byte) (at quota.Place, key []byte) {
	by := &l.config.By
	if by.IsGlobal() {
		return quota.OfAll, nil
	}
	key, peer := by.AppendOrPeer(ctx, call, room)
	if peer {
		return quota.OfPeers, key
	}
	return quota.OfKeys, key
}

// keyOf is key for one request, for a key of messages.
func (l *limit) keyOf(ctx context.Context, call *hauberk.Call, msg any) (at quota.Place, key []byte) {
	key, peer := l.config.By.AppendMessageOrPeer(ctx, call, msg, nil)
	if peer {
		return quota.OfPeers, key
	}
	return quota.OfKeys, key
}

// demand returns the demand of a call. With a key of messages its key is that of each message.
func (l *limit) demand(ctx context.Context, call *hauberk.Call, permits int) demand {
	if l.config.By.PerMessage() {
		return demand{limit: l, permits: permits}
	}
	at, key := l.key(ctx, call, nil)
	return demand{l, at, key, permits}
}

// take takes the permits of all demands in memory, or none.
func (x *Interceptor) take(demands []demand) (s outcome) {
	if len(x.limits) == 1 {
		d := &demands[0]
		s.consider(d, x.local(d, quota.Take, x.clock()))
		return s
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	now := x.clock()
	for i := range demands {
		d := &demands[i]
		s.consider(d, x.local(d, quota.Check, now))
	}
	if !s.OK {
		return s
	}
	s = outcome{}
	for i := range demands {
		d := &demands[i]
		s.consider(d, x.local(d, quota.Take, now))
	}
	return s
}

// local does an operation on the quota of a demand in memory. If the quotas are in a store and this process
// has a part of each, it rejects what costs more than its part until the store answers again.
func (x *Interceptor) local(d *demand, op quota.Operation, now time.Duration) Decision {
	answer := Decision(d.limit.memory.Do(op, d.at, d.key, now, d.permits))
	if answer.RetryAfter == Never && x.shared != nil && d.permits <= d.limit.config.Burst {
		answer.RetryAfter = x.shared.config.RetryStore
	}
	return answer
}
