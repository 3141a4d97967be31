package rlsserver

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/internal/quota"
)

// decide takes the hits of all demands whose limits are enforced, or none, and writes the decisions.
// Limits in shadow mode count after that, each for itself.
func (s *Server) decide(ctx context.Context, st *state, demands []demand) error {
	var enforced, shadow, refunds []*demand
	for i := range demands {
		switch d := &demands[i]; {
		case d.rule == nil:
		case d.hits < 0:
			refunds = append(refunds, d)
		case d.enforced():
			enforced = append(enforced, d)
		default:
			shadow = append(shadow, d)
		}
	}
	op := quota.Take
	if slices.ContainsFunc(demands, func(d demand) bool { return d.blocked }) {
		op = quota.Check
	}
	if err := s.do(ctx, st, op, enforced); err != nil {
		return err
	}
	if slices.ContainsFunc(enforced, func(d *demand) bool { return !d.OK }) {
		op = quota.Check
	}
	for i := range shadow {
		if err := s.do(ctx, st, op, shadow[i:i+1]); err != nil {
			return err
		}
	}
	if err := s.settle(ctx, st, slices.Concat(enforced, shadow), refunds, op == quota.Take); err != nil {
		return err
	}
	for i := range demands {
		if d := &demands[i]; d.rule != nil {
			d.rule.count(d.OK)
		}
	}
	return nil
}

// settle charges limits for requests that were over them, and gives hits back if the request is OK.
func (s *Server) settle(ctx context.Context, st *state, decided, refunds []*demand, ok bool) error {
	charged := slices.DeleteFunc(decided, func(d *demand) bool { return d.OK || !d.rule.ChargeRejected })
	if ok {
		charged = append(charged, refunds...)
	}
	if err := s.do(ctx, st, quota.Charge, charged); err != nil {
		return err
	}
	for _, d := range refunds { // what remains now
		hits := d.hits
		d.hits = 0
		err := s.do(ctx, st, quota.Check, []*demand{d})
		d.hits = hits
		if err != nil {
			return err
		}
		d.OK, d.RetryAfter = true, 0
	}
	return nil
}

// do does an operation on the quotas of demands, in the store if there is one. A check and a take
// write the decisions.
func (s *Server) do(ctx context.Context, st *state, op quota.Operation, demands []*demand) error {
	if len(demands) == 0 {
		return nil
	}
	if st.quotas == nil {
		s.inMemory(op, demands, 0)
		return nil
	}
	answers := make([]ratelimit.Decision, len(demands))
	err := s.inStore(ctx, st, op, demands, answers)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		s.check(ctx, st, demands)
		return status.FromContextError(ctx.Err()).Err()
	case st.config.Shared.Fail == ratelimit.FailLocal:
		s.inMemory(op, demands, st.config.Shared.RetryStore)
		return nil
	case st.config.Shared.Fail == ratelimit.FailClosed:
		return status.Error(codes.Unavailable, "the quotas are not available")
	default:
		for i, d := range demands {
			answers[i] = ratelimit.Decision{OK: true, Remaining: d.rule.identity.quota.Burst}
		}
	}
	for i, d := range demands {
		if op == quota.Charge {
			break
		}
		if d.Decision = answers[i]; op == quota.Check && d.OK && d.hits > d.Remaining {
			d.OK, d.RetryAfter = false, d.ResetAfter
		}
	}
	return nil
}

// inStore asks the store, unless its circuit is open.
func (s *Server) inStore(
	ctx context.Context, st *state, op quota.Operation, demands []*demand, answers []ratelimit.Decision,
) error {
	asked := make([]ratelimit.Demand, len(demands))
	for i, d := range demands {
		asked[i] = ratelimit.Demand{Limit: d.rule.index, Key: d.key, Permits: d.hits}
		if op == quota.Check {
			asked[i].Permits = 0
		}
	}
	timeout := st.config.Shared.Timeout
	if op == quota.Charge { // what was used counts, even if the caller has left
		ctx = context.WithoutCancel(ctx)
	}
	return s.guard.Load().Do(ctx, func() error {
		if op == quota.Charge {
			return st.quotas.Charge(ctx, timeout, asked)
		}
		return st.quotas.Take(ctx, timeout, asked, answers)
	})
}

// check finds out whether the store answers, after a request that ended before it did.
func (s *Server) check(ctx context.Context, st *state, demands []*demand) {
	ctx = context.WithoutCancel(ctx)
	asked := make([]ratelimit.Demand, len(demands))
	for i, d := range demands {
		asked[i] = ratelimit.Demand{Limit: d.rule.index, Key: d.key}
	}
	s.guard.Load().Check(func() error {
		return st.quotas.Take(ctx, st.config.Shared.Timeout, asked, make([]ratelimit.Decision, len(asked)))
	})
}

// inMemory is do for quotas in this process. While the store fails they are a part of the quotas: what costs more
// than that waits until the store is asked again, after retryStore. Without a store that is 0.
func (s *Server) inMemory(op quota.Operation, demands []*demand, retryStore time.Duration) {
	s.taking.Lock()
	defer s.taking.Unlock()
	now := s.clock()
	do := func(op quota.Operation, d *demand, n int) ratelimit.Decision {
		answer := ratelimit.Decision(d.rule.memory.Do(op, quota.OfKeys, d.key, now, n))
		if answer.RetryAfter == ratelimit.Never && retryStore > 0 && n <= d.rule.identity.quota.Burst {
			answer.RetryAfter = retryStore // more than the part of this node
		}
		return answer
	}
	if op == quota.Charge {
		for _, d := range demands {
			do(quota.Charge, d, d.hits)
		}
		return
	}
	ok := true
	for _, d := range demands {
		d.Decision = do(quota.Check, d, d.hits)
		ok = ok && d.OK
	}
	if !ok || op == quota.Check {
		return
	}
	for i, d := range demands {
		if d.Decision = do(quota.Take, d, d.hits); d.OK {
			continue
		}
		for _, taken := range demands[:i] { // two descriptors have the same quota: together they are too many
			do(quota.Charge, taken, -taken.hits)
			taken.Decision = do(quota.Check, taken, taken.hits)
		}
		return
	}
}
