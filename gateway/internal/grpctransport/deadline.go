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

// At a call's deadline grpc-go's server resets the stream with CANCEL, and a
// client that reads the reset before its own timer fires reports CANCELLED. So a
// call ends a little earlier here, with a status: by a tenth of the time that was
// left when it arrived, and by maxMargin at most.
const maxMargin = 10 * time.Millisecond

func margin(left time.Duration) time.Duration {
	return min(max(left, 0)/10, maxMargin)
}

// deadline ends a call on time whose sender waits for a client that does not
// read.
type deadline struct {
	sending atomic.Bool
}

// endEarly moves the deadline of the call's context forward. The function that it
// returns is to be called when the call is over.
func (in *inbound) endEarly() (stop func()) {
	at, ok := in.ctx.Deadline()
	if !ok {
		return func() {}
	}
	ctx, cancel := context.WithDeadline(in.ctx, at.Add(-margin(time.Until(at))))
	in.ctx = ctx
	detach := context.AfterFunc(ctx, in.expire)
	return func() {
		detach()
		cancel()
	}
}

// expire writes the status if the handler cannot, because it is sending; that
// ends the send.
func (in *inbound) expire() {
	if !in.deadline.sending.Load() || !errors.Is(in.ctx.Err(), context.DeadlineExceeded) {
		return
	}
	if own, ok := grpc.ServerTransportStreamFromContext(in.ctx).(serverStream); ok {
		_ = own.WriteStatus(status.FromContextError(in.ctx.Err()))
	}
}

// Send begins nothing after the deadline: between them, Send and expire miss no
// send that would outlive it.
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
