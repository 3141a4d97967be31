package ratelimit

import (
	"context"
	"time"

	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/responsemd"
)

// OverLimit is what happens to a message inside a stream for which there are no permits.
type OverLimit uint8

// The values of OverLimit.
const (
	// End ends the call with RESOURCE_EXHAUSTED, like a call for which there are no permits.
	End OverLimit = iota
	// Wait delays the message until there are permits. Flow control slows the other side down. In each
	// process messages get the permits of a quota in the order in which they began to wait. The call ends
	// as with End if its deadline is earlier, if the message costs more than the burst, or if 65,536
	// messages of the interceptor wait.
	Wait
)

// during calls next for a call whose messages or handler take permits, or whose response has headers.
func (x *Interceptor) during(ctx context.Context, call *hauberk.Call, next hauberk.Next, s *outcome) error {
	if x.messages {
		x.countMessages(ctx, call)
	}
	if x.charges {
		x.passed.Set(call, call)
	}
	h := x.headersOf(call, s)
	if h == nil {
		err := next(ctx, call)
		x.settle(call, err)
		return err
	}
	if !x.charges {
		return responsemd.Around(ctx, call, next, h)
	}
	return responsemd.Around(ctx, call, func(ctx context.Context, call *hauberk.Call) error {
		err := next(ctx, call)
		x.settle(call, err)
		return err
	}, h)
}

// countMessages registers the hooks of the messages that take permits.
func (x *Interceptor) countMessages(ctx context.Context, call *hauberk.Call) {
	receives := call.Side() == hauberk.ServerSide // requests
	if f := x.newFlow(ctx, call, receives); f != nil {
		call.OnReceiveContext(func(ctx context.Context, msg any) (keep bool, err error) {
			return true, f.pay(ctx, msg)
		})
	}
	if f := x.newFlow(ctx, call, !receives); f != nil {
		call.OnSendContext(func(ctx context.Context, msg any, emit func(any) error) error {
			if err := f.pay(ctx, msg); err != nil {
				return err
			}
			return emit(msg)
		})
	}
}

// flow is the messages of a call in one direction, which come one after the other.
type flow struct {
	x       *Interceptor
	call    *hauberk.Call
	counted []demand // of the limits that count the messages
	demands []demand // of the message that is paid for
}

// newFlow returns the flow of requests or responses, or nil if no limit counts them.
func (x *Interceptor) newFlow(ctx context.Context, call *hauberk.Call, requests bool) *flow {
	f := &flow{x: x, call: call}
	for i := range x.limits {
		l := &x.limits[i]
		if l.config.Cost.countsThese(requests) && !l.config.By.Spares(call, x.config.ChargeUnknown) {
			f.counted = append(f.counted, l.demand(ctx, call, 0))
		}
	}
	if f.counted == nil {
		return nil
	}
	return f
}

// pay takes the permits of a message, or returns the rejection that ends the call.
func (f *flow) pay(ctx context.Context, msg any) error {
	size := 0
	f.demands = f.demands[:0]
	for i := range f.counted {
		d := &f.counted[i]
		if d.limit.config.Cost.Byte > 0 && size == 0 {
			size = sizeOf(msg)
		}
		if d.permits = d.limit.config.Cost.ofMessage(size); d.permits == 0 {
			continue
		}
		if d.limit.config.By.PerMessage() {
			d.at, d.key = d.limit.keyOf(ctx, f.call, msg)
		}
		f.demands = append(f.demands, *d)
	}
	if len(f.demands) == 0 {
		return nil // it is free, as a call without costs is
	}
	v, err := f.take(ctx)
	if v != nil {
		err = v.reject(f.call, name)
	}
	return err
}

// take takes the permits of the demands. If there are not enough, it waits or returns a
// rejection, as configured.
func (f *flow) take(ctx context.Context) (*verdict, error) {
	if f.x.config.OverLimit == Wait && !f.call.DryRun() {
		return f.wait(ctx)
	}
	_, v, err := f.x.takeAny(ctx, f.demands)
	return v, err
}

// mayWait reports whether the call lasts for longer than a wait.
func mayWait(ctx context.Context, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return wait != Never && (!ok || time.Until(deadline) > wait)
}

// sleep waits, or returns the status of ctx if that ends first.
func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

// takeAny takes the permits of all demands, or none. v is the rejection if they were not taken. err is the end
// of ctx.
func (x *Interceptor) takeAny(ctx context.Context, demands []demand) (s outcome, v *verdict, err error) {
	if x.shared == nil {
		s = x.take(demands)
		v = x.limited(&s)
		return s, v, nil
	}
	return x.shared.take(ctx, demands)
}
