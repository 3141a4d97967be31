package demo

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/demo/shoppb"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// cartLimit rejects an import of more than max items. It uses only the public API, as
// any interceptor of a program does.
type cartLimit struct {
	name string
	max  int64
}

// Declare declares that the interceptor decides on calls, so that it can run in Shadow.
func (l cartLimit) Declare() hauberk.Declaration {
	return hauberk.Declaration{
		Name: l.name, Phase: hauberk.PhaseValidate, Sides: hauberk.OnlyServers, Decides: true,
	}
}

// Intercept counts the items of received messages. It rejects once: in shadow the call
// continues, and further items arrive.
func (l cartLimit) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	var items int64
	call.OnReceive(func(msg any) (keep bool, err error) {
		before := items
		if req, ok := msg.(*shoppb.ImportRequest); ok {
			items += int64(req.GetItem().GetQuantity())
		}
		if before <= l.max && items > l.max {
			return false, l.reject(call)
		}
		return true, nil
	})
	return next(ctx, call)
}

func (l cartLimit) reject(call *hauberk.Call) error {
	const reason = "CART_FULL"
	call.Decide(hauberk.Decision{
		Interceptor: l.name, Rule: "items of one import", Verdict: hauberk.Rejected, Reason: reason,
	})
	return hauberk.Reject(codes.ResourceExhausted, reason, "the cart is full")
}

// openCalls waits for the open calls. next returns when a call has ended, including a
// stream that the application does not read.
type openCalls struct{ sync.WaitGroup }

// Intercept counts the call as open until it has ended.
func (o *openCalls) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	o.Add(1)
	defer o.Done()
	return next(ctx, call)
}

// attemptKey is the request metadata key of the attempt's number, from 1.
const attemptKey = "shop-attempt"

// attempts sends the number of each attempt, and counts the attempts after the first of
// a call.
type attempts struct{ again, succeeded atomic.Uint64 }

// Declare declares that the interceptor runs inside retry.
func (a *attempts) Declare() hauberk.Declaration {
	return hauberk.Declaration{
		Name: "attempts", Sides: hauberk.OnlyClients, Reads: []hauberk.StateKey{retry.Attempt},
	}
}

// Intercept adds the attempt's number to the request metadata.
func (a *attempts) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	n := retry.Attempt.Or(ctx, 1)
	err := next(metadata.AppendToOutgoingContext(ctx, attemptKey, strconv.Itoa(n)), call)
	if n > 1 {
		a.again.Add(1)
		if err == nil {
			a.succeeded.Add(1)
		}
	}
	return err
}

func (a *attempts) totals() retryTotals {
	succeeded := a.succeeded.Load() // loaded first, so that it does not exceed the attempts
	return retryTotals{Attempts: a.again.Load(), Succeeded: succeeded}
}
