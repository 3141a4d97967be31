package ratelimit

import (
	"context"
	"errors"
	"fmt"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/quota"
)

// Charge takes permits for the call that ctx belongs to, after it was admitted: in a handler for
// what the call turned out to cost, such as rows or tokens. It takes them from the limits that have
// [Cost.Charged], even if there are none: later calls wait until the debt has returned. A debt is at
// most one burst; what is above it is not taken. Negative permits are given back, up to a whole
// quota, such as those of an estimate that was too high.
//
// Calls that the limit does not count are not charged. The error says that ctx belongs to no call,
// that no limit has Cost.Charged, or, with [FailClosed], that the store of shared quotas did not
// answer. Safe for concurrent use.
func (x *Interceptor) Charge(ctx context.Context, permits int) error {
	call := hauberk.FromContext(ctx)
	if call == nil {
		return errors.New("ratelimit: Charge was given a context that belongs to no call")
	}
	if permits < -maxCost || permits > maxCost {
		return fmt.Errorf("ratelimit: Charge was given %d permits; want %d to %d", permits, -maxCost, maxCost)
	}
	demands, found := x.charged(ctx, call, permits)
	switch {
	case !found:
		return errors.New("ratelimit: Charge was called, but no limit of the interceptor has Cost.Charged")
	case len(demands) == 0 || permits == 0:
		return nil
	case x.shared != nil:
		return x.shared.charge(ctx, demands)
	}
	x.charge(demands)
	return nil
}

// Take takes permits for the call that ctx belongs to, or none: in a handler for a part of its work
// that it is about to do. It takes them from the limits that have [Cost.Charged]. If there are not
// enough, it returns the rejection, which the handler may return, or waits, as Config.OverLimit
// says. See [Interceptor.Charge] for other errors. Safe for concurrent use.
func (x *Interceptor) Take(ctx context.Context, permits int) error {
	call := hauberk.FromContext(ctx)
	if call == nil {
		return errors.New("ratelimit: Take was given a context that belongs to no call")
	}
	if permits < 0 || permits > maxCost {
		return fmt.Errorf("ratelimit: Take was given %d permits; want 0 to %d", permits, maxCost)
	}
	demands, found := x.charged(ctx, call, permits)
	if !found {
		return errors.New("ratelimit: Take was called, but no limit of the interceptor has Cost.Charged")
	}
	if len(demands) == 0 || permits == 0 {
		return nil
	}
	return (&flow{x: x, ctx: ctx, call: call, demands: demands}).take()
}

// charged returns the demands of a call on the limits that handlers charge. found is false if there
// are no such limits.
func (x *Interceptor) charged(ctx context.Context, call *hauberk.Call, permits int) (demands []demand, found bool) {
	for i := range x.limits {
		l := &x.limits[i]
		if !l.config.Cost.Charged {
			continue
		}
		found = true
		if !l.config.By.Spares(call, x.config.ChargeUnknown) {
			demands = append(demands, l.demand(ctx, call, permits))
		}
	}
	return demands, found
}

// charge takes permits in memory, even if there are none.
func (x *Interceptor) charge(demands []demand) {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := x.clock()
	for i := range demands {
		d := &demands[i]
		d.limit.memory.Do(quota.Charge, d.at, d.key, now, d.permits)
	}
}
