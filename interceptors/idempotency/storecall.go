package idempotency

import (
	"context"
	"fmt"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/errtree"
)

// storeBegin asks for the key of a call. An error is followed by Release, since the store may have given
// the key to the call all the same: it would be taken until the lease expires, for no one.
func (x *Interceptor) storeBegin(ctx context.Context, e *entry) (r Record, err error) {
	e.begun = time.Now()
	// An answer that takes longer than the lease may be of one that has expired.
	err = x.ask(ctx, min(x.config.StoreTimeout, x.config.Lease), func(ctx context.Context) (err error) {
		r, err = x.store.Begin(ctx, e.key, e.owner, e.of, x.config.Lease)
		return err
	})
	if err != nil {
		x.withdraw(ctx, e)
	}
	return r, err
}

// storeRenew begins the lease again, for a time. It takes at most the given time.
func (x *Interceptor) storeRenew(ctx context.Context, e *entry, lease, most time.Duration) (held bool, err error) {
	timeout := min(x.config.StoreTimeout, x.config.Lease/3, most)
	err = x.ask(context.WithoutCancel(ctx), timeout, func(ctx context.Context) (err error) {
		held, err = x.store.Renew(ctx, e.key, e.owner, lease)
		return err
	})
	return held, err
}

// storeFinish gives an outcome to the store, also if the call has ended.
func (x *Interceptor) storeFinish(ctx context.Context, e *entry, text []byte) (held bool, err error) {
	err = x.ask(context.WithoutCancel(ctx), x.config.StoreTimeout, func(ctx context.Context) (err error) {
		held, err = x.store.Finish(ctx, e.key, e.owner, e.of, text, x.config.TTL)
		return err
	})
	return held, err
}

// storeRelease makes a key free, also if the call has ended.
func (x *Interceptor) storeRelease(ctx context.Context, e *entry) error {
	return x.ask(context.WithoutCancel(ctx), x.config.StoreTimeout, func(ctx context.Context) error {
		return x.store.Release(ctx, e.key, e.owner)
	})
}

// ask makes a request to the store. A panic of the store is an error: leases are renewed on a goroutine
// where no interceptor recovers it. An error that wraps itself is replaced, before errors.Is searches it.
func (x *Interceptor) ask(ctx context.Context, timeout time.Duration, f func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("idempotency: the store panicked: %v", v)
		}
	}()
	return errtree.Bounded(f(ctx))
}
