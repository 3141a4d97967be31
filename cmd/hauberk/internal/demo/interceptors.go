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

// cartLimit rejects an import once it holds more than max items. It is written as
// any user of the library would write it.
type cartLimit struct {
	name string
	max  int64
}

// Declare says that the interceptor only decides, so that it can be put in Shadow.
func (l cartLimit) Declare() hauberk.Declaration {
	return hauberk.Declaration{Name: l.name, Phase: hauberk.PhaseValidate, Decides: true}
}

// Intercept counts the items as they arrive. In shadow they go on arriving when there
// are too many.
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

// openCalls waits for the calls that have not ended. It needs no more than next,
// which returns when a call has ended, also that of a stream that no one reads.
type openCalls struct{ sync.WaitGroup }

// Intercept notes that a call is open.
func (o *openCalls) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	o.Add(1)
	defer o.Done()
	return next(ctx, call)
}

// attemptKey is the request metadata in which the shop is told the number of an
// attempt, from 1.
const attemptKey = "shop-attempt"

// attempts numbers the attempts that are sent, and counts those after a call's
// first.
type attempts struct{ again, succeeded atomic.Uint64 }

// Declare says that the interceptor belongs inside the retry.
func (a *attempts) Declare() hauberk.Declaration {
	return hauberk.Declaration{Name: "attempts", Reads: []hauberk.StateKey{retry.Attempt}}
}

// Intercept sends the attempt's number along.
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
	succeeded := a.succeeded.Load() // first: it is never more than those made
	return retryTotals{Attempts: a.again.Load(), Succeeded: succeeded}
}
