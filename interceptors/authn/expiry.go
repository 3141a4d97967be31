package authn

import (
	"context"
	"math"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
)

// whileValid runs the inner part of a call that ends at the latest when its credential expires,
// and the grace period has passed, or is revoked.
func (x *Interceptor) whileValid(ctx context.Context, call *hauberk.Call, next hauberk.Next, id *Identity) error {
	inside, cancel := context.WithCancelCause(ctx)
	var (
		once  sync.Once // of the call's end: by the credential, or otherwise
		ended error     // by the credential; written in once
	)
	end := func(err, cause error) {
		once.Do(func() {
			if ctx.Err() == nil {
				ended = err
				cancel(cause)
				hangUp(ctx, call, err)
			}
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
	settle := func() {
		once.Do(func() {}) // waits for an end that is under way, and prevents a later one
		cancel(nil)
	}
	defer settle() // if next panics
	err := next(inside, call)
	settle()
	if ended != nil {
		return x.reject(call, ended)
	}
	return err
}

// left returns how long a credential and its grace period last from now, at most 292 years.
func left(expires time.Time, grace time.Duration) time.Duration {
	return min(time.Until(expires), math.MaxInt64-grace) + grace
}

// hangUp ends the call for its client, and with it the receives and sends of the handler, which
// an inner context does not reach. In shadow it does nothing.
func hangUp(ctx context.Context, call *hauberk.Call, err error) {
	stream, ok := grpc.ServerTransportStreamFromContext(ctx).(interface {
		WriteStatus(st *status.Status) error
	})
	if ok && !inShadow(ctx, call) {
		_ = stream.WriteStatus(hauberk.StatusOf(err)) // fails if the call has ended
	}
}

// inShadow reports whether the interceptor only records its decision on a call of a server. It has a
// copy of the call then.
func inShadow(ctx context.Context, call *hauberk.Call) bool {
	return hauberk.FromContext(hauberk.Incoming(ctx)) != call
}
