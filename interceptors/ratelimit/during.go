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
	// Wait delays the message until there are permits. Flow control slows the other side down. The
	// call ends as with End if its deadline is earlier, or if the message costs more than the burst.
	Wait
)

// during calls next for a call whose messages take permits, or whose response has headers.
func (x *Interceptor) during(ctx context.Context, call *hauberk.Call, next hauberk.Next, s *outcome) error {
	if x.messages {
		x.countMessages(ctx, call)
	}
	if x.config.Headers == NoHeaders || s.limit == nil || call.Side() != hauberk.ServerSide || call.DryRun() {
		return next(ctx, call)
	}
	return responsemd.Around(ctx, call, next, headersOf(x, s))
}

// countMessages registers the hooks of the messages that take permits.
func (x *Interceptor) countMessages(ctx context.Context, call *hauberk.Call) {
	receives := call.Side() == hauberk.ServerSide // requests
	if f := x.newFlow(ctx, call, receives); f != nil {
		call.OnReceive(func(msg any) (keep bool, err error) { return true, f.pay(msg) })
	}
	if f := x.newFlow(ctx, call, !receives); f != nil {
		call.OnSend(func(msg any, emit func(any) error) error {
			if err := f.pay(msg); err != nil {
				return err
			}
			return emit(msg)
		})
	}
}

// flow is the messages of a call in one direction, which come one after the other.
type flow struct {
	x       *Interceptor
	ctx     context.Context //nolint:containedctx // of the call, for its hooks
	call    *hauberk.Call
	demands []demand // of the limits that count the messages
}

// newFlow returns the flow of requests or responses, or nil if no limit counts them.
func (x *Interceptor) newFlow(ctx context.Context, call *hauberk.Call, requests bool) *flow {
	f := &flow{x: x, ctx: ctx, call: call}
	for i := range x.limits {
		l := &x.limits[i]
		if l.config.Cost.countsThese(requests) && !l.config.By.Spares(call, x.config.ChargeUnknown) {
			f.demands = append(f.demands, l.demand(ctx, call, 0))
		}
	}
	if f.demands == nil {
		return nil
	}
	return f
}

// pay takes the permits of a message, or returns the rejection that ends the call.
func (f *flow) pay(msg any) error {
	size := 0
	for i := range f.demands {
		d := &f.demands[i]
		if d.limit.config.Cost.Byte > 0 && size == 0 {
			size = sizeOf(msg)
		}
		d.permits = d.limit.config.Cost.ofMessage(size)
	}
	return f.take()
}

// take takes the permits of the demands. If there are not enough, it waits or returns a
// rejection, as configured.
func (f *flow) take() error {
	for {
		s, err := f.x.takeAny(f.ctx, f.call, f.demands, name)
		if err != nil || s.rejection() == nil {
			return err
		}
		if f.x.config.OverLimit == End || f.call.DryRun() || !f.mayWait(s.RetryAfter) {
			return f.x.verdict(f.call, &s, name)
		}
		if err := sleep(f.ctx, s.RetryAfter); err != nil {
			return err
		}
	}
}

// mayWait reports whether the call lasts for longer than a wait.
func (f *flow) mayWait(wait time.Duration) bool {
	deadline, ok := f.ctx.Deadline()
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

// takeAny takes the permits of all demands, or none.
func (x *Interceptor) takeAny(
	ctx context.Context, call *hauberk.Call, demands []demand, decider string,
) (outcome, error) {
	if x.shared == nil {
		return x.take(demands), nil
	}
	return x.shared.take(ctx, call, demands, decider)
}
