package idempotency

import (
	"context"
	"errors"
	"slices"

	"github.com/hauberk-rpc/hauberk"
)

// ErrLeaseLost is the cause of the context of a call whose lease was lost: the store did not renew it
// in time.
var ErrLeaseLost = errors.New("idempotency: the lease of the call was lost")

// execute runs the call that owns a key, and keeps its outcome.
func (x *Interceptor) execute(ctx context.Context, call *hauberk.Call, next hauberk.Next, e *entry) error {
	running, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	running, stop := context.WithTimeout(running, x.config.MaxRun)
	defer stop()
	_, known := hauberk.IdentityKey.Get(call)
	inside, copied, err := call.Detach(running)
	if err != nil {
		x.release(ctx, e)
		return err
	}
	x.counts.executed.Add(1)
	l := x.hold(ctx, e, cancel)
	err = hauberk.ErrUnwound
	defer func() { // also if a panic unwinds the goroutine
		l.stop()
		x.settle(ctx, e, copied, err, known)
	}()
	err = next(inside, copied)
	call.Adopt(copied)
	return err
}

// settle keeps the outcome of a call, or makes its key free. Only what the handler did counts: an inner
// interceptor may reject a call before the handler, or the response after it.
func (x *Interceptor) settle(ctx context.Context, e *entry, call *hauberk.Call, err error, known bool) {
	called, handled := call.Handled()
	if err != nil && (!called || x.mayRepeat(handled)) {
		x.counts.released.Add(1)
		x.release(ctx, e)
		return
	}
	o := outcomeOf(call.Response(), err, call.Header(), call.Trailer())
	if x.mayRepeat(err) {
		o = &outcome{kind: lost} // an inner interceptor hides that the handler had its effect
	}
	if id, _ := hauberk.IdentityKey.Get(call); id != nil && !known {
		o = &outcome{kind: lost} // an inner interceptor authenticates: others may have this key
	}
	x.finish(ctx, e, o.encode(x.config.MaxResultBytes))
}

// mayRepeat reports whether an error says that the client may try again.
func (x *Interceptor) mayRepeat(err error) bool {
	return err != nil && slices.Contains(x.config.NotKept, hauberk.CodeOf(err))
}
