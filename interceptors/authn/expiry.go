package authn

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
)

// untilExpired goes on with a call that ends at the latest when its token expires.
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

// hangUp ends the call for its client, and with it the receives and sends of a
// handler, which a context further in does not reach. In shadow it does nothing:
// the call that an interceptor is shown there is not the one that arrived.
func hangUp(ctx context.Context, call *hauberk.Call) {
	stream, ok := grpc.ServerTransportStreamFromContext(ctx).(interface {
		WriteStatus(st *status.Status) error
	})
	if ok && hauberk.FromContext(hauberk.Incoming(ctx)) == call {
		_ = stream.WriteStatus(hauberk.StatusOf(errExpired)) // fails if the call has ended
	}
}
