package ratelimit

import (
	"context"
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
// Calls that the limit does not count are not charged, such as those that [hauberk.For] leaves out. A call is
// charged even if it has ended meanwhile. The error says that ctx belongs to no call,
// that no limit has Cost.Charged, or, with [FailClosed], that the store of shared quotas did not
// answer. Safe for concurrent use.
func (x *Interceptor) Charge(ctx context.Context, permits int) error {
	_, demands, err := x.charged(ctx, "Charge", -maxCost, permits)
	switch {
	case err != nil || len(demands) == 0:
		return err
	case x.shared != nil:
		return x.shared.charge(ctx, demands)
	}
	x.charge(demands)
	return nil
}

// Take takes permits for the call that ctx belongs to, or none: in a handler for a part of its work
// that it is about to do. It takes them from the limits that have [Cost.Charged]. If there are not
// enough, it returns the rejection, which the handler may return, or waits, as Config.OverLimit
// says. The rejection is recorded if the call ends with it. In [hauberk.Shadow] it is recorded at once,
// and Take returns nil without waiting. See [Interceptor.Charge] for other errors. Safe for concurrent
// use.
func (x *Interceptor) Take(ctx context.Context, permits int) error {
	call, demands, err := x.charged(ctx, "Take", 0, permits)
	if err != nil || len(demands) == 0 {
		return err
	}
	v, err := (&flow{x: x, call: call, demands: demands}).take(ctx)
	if v != nil {
		err = v.later(call)
	}
	return err
}

// charged returns the call that ctx belongs to, as the interceptor got it, and its demands on the limits that
// handlers charge: none if they do not count it, or for no permits. least is the smallest number that
// method takes.
func (x *Interceptor) charged(
	ctx context.Context, method string, least, permits int,
) (call *hauberk.Call, demands []demand, err error) {
	if call = hauberk.FromContext(ctx); call == nil {
		return nil, nil, fmt.Errorf("ratelimit: %s was given a context that belongs to no call", method)
	}
	if permits < least || permits > maxCost {
		return nil, nil, fmt.Errorf("ratelimit: %s was given %d permits; want %d to %d",
			method, permits, least, maxCost)
	}
	call, passed := x.passed.Get(call)
	found := false
	for i := range x.limits {
		l := &x.limits[i]
		if !l.config.Cost.Charged {
			continue
		}
		found = true
		if passed && permits != 0 && !l.config.By.Spares(call, x.config.ChargeUnknown) {
			demands = append(demands, l.demand(ctx, call, permits))
		}
	}
	if !found {
		err = fmt.Errorf("ratelimit: %s was called, but no limit of the interceptor has Cost.Charged", method)
	}
	return call, demands, err
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
