package authn

import (
	"context"
	"math"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/running"
)

// whileValid runs the inner part of a call that ends at the latest when its credential expires,
// and the grace period has passed, or is revoked.
func (x *Interceptor) whileValid(ctx context.Context, call *hauberk.Call, next hauberk.Next, id *Identity) error {
	inside, cancel := context.WithCancelCause(ctx)
	var early running.End
	end := func(err, cause error) {
		early.By(ctx, err, func() {
			cancel(cause)
			call.End(err)
		})
	}
	if !id.Expires.IsZero() {
		timer := time.AfterFunc(left(id.Expires, x.config.Grace), func() { end(errExpired, ErrTokenExpired) })
		defer timer.Stop()
	}
	if id.Revoked != nil {
		go func() {
			select {
			case <-id.Revoked:
				end(errRevoked, ErrTokenRevoked)
			case <-inside.Done():
			}
		}()
	}
	defer func() { // if next panics
		early.Settle()
		cancel(nil)
	}()
	err := next(inside, call)
	early.Settle()
	if ended := early.Err(); ended != nil {
		return x.reject(call, ended)
	}
	return err
}

// left returns how long a credential and its grace period last from now, at most 292 years.
func left(expires time.Time, grace time.Duration) time.Duration {
	return min(time.Until(expires), math.MaxInt64-grace) + grace
}
