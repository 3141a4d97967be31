package grpctransport

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// deadline ends a call in time if its sender is blocked by a client that does not read.
type deadline struct {
	sending atomic.Bool
}

// endEarly sets an earlier deadline for the call's context: at the deadline grpc-go's server resets
// the stream with CANCEL ([transport.Margin]). The caller must call stop at the end of the call.
func (in *inbound) endEarly() (stop func()) {
	at, ok := in.ctx.Deadline()
	if !ok {
		return func() {}
	}
	ctx, cancel := context.WithDeadline(in.ctx, at.Add(-transport.Margin(time.Until(at))))
	in.ctx = ctx
	detach := context.AfterFunc(ctx, in.expire)
	return func() {
		detach()
		cancel()
	}
}

// expire writes the status if the handler is blocked in a send. This ends the send.
func (in *inbound) expire() {
	if !in.deadline.sending.Load() || !errors.Is(in.ctx.Err(), context.DeadlineExceeded) {
		return
	}
	if own, ok := grpc.ServerTransportStreamFromContext(in.ctx).(serverStream); ok {
		_ = own.WriteStatus(status.FromContextError(in.ctx.Err()))
	}
}

// Send fails after the deadline. It sets sending before it checks the context, and expire
// reads sending after the context is done, so that no send is missed.
func (in *inbound) Send(msg *transport.Message) error {
	in.deadline.sending.Store(true)
	defer in.deadline.sending.Store(false)
	err := in.ctx.Err()
	if err == nil {
		err = in.stream.SendMsg(msg)
	}
	if err != nil && in.ctx.Err() != nil {
		return status.FromContextError(in.ctx.Err()).Err()
	}
	return err
}
