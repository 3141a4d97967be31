package authn

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
)

// untilExpired runs the inner part of a call that ends at the latest when its token expires.
func (x *Interceptor) untilExpired(
	ctx context.Context, call *hauberk.Call, next hauberk.Next, expires time.Time,
) error {
	inside, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	expired := make(chan bool, 1)
	timer := time.AfterFunc(time.Until(expires), func() {
		running := ctx.Err() == nil
		if running {
			cancel(ErrTokenExpired)
			hangUp(ctx, call)
		}
		expired <- running
	})
	defer timer.Stop()
	err := next(inside, call)
	if timer.Stop() || !<-expired {
		return err
	}
	return x.reject(call, errExpired)
}

// hangUp ends the call for its client, and with it the receives and sends of the handler, which
// an inner context does not reach. In shadow it does nothing: the interceptor runs on a copy
// of the call there.
func hangUp(ctx context.Context, call *hauberk.Call) {
	stream, ok := grpc.ServerTransportStreamFromContext(ctx).(interface {
		WriteStatus(st *status.Status) error
	})
	if ok && hauberk.FromContext(hauberk.Incoming(ctx)) == call {
		_ = stream.WriteStatus(hauberk.StatusOf(errExpired)) // fails if the call has ended
	}
}
