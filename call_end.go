package hauberk

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// End ends a call of a server for its client at once, while its handler still runs: the client receives the
// status of err, the context of the handler and of the inner interceptors is done, and what the handler
// receives or sends from then on fails. If the handler has not begun, it does not run, and next returns err. A
// timer ends calls in this way, or an event such as the revocation of a credential:
//
//	stop := context.AfterFunc(event, func() { call.End(errEvent) })
//	defer stop()
//	return next(ctx, call)
//
// The outer interceptors see what next returns: return err instead if End was called.
//
// End has no effect once the call has ended, on a client, in [Shadow], for a copy of [Call.Detach], and on a
// server that is not grpc-go's. A nil err is INTERNAL. It waits for the transport, which can block for a call of
// [Server.ServeHTTP] whose client does not read. Safe for concurrent use.
func (c *Call) End(err error) {
	if c.side == ClientSide || c.dryRun != nil {
		return
	}
	if err == nil {
		err = errInternal("Call.End was called with a nil error")
	}
	err = usable(err, "Call.End")
	if _, ok := c.transport(); ok {
		c.state().lazy().ended.CompareAndSwap(nil, &err)
	}
	c.writeStatus(c.plan.statusFor(c.method, err))
}

// endedWith returns the error of the first End, or nil.
func (c *Call) endedWith() error {
	if c.side == ClientSide {
		return nil
	}
	more := c.state().more.Load()
	if more == nil {
		return nil
	}
	if err := more.ended.Load(); err != nil {
		return *err
	}
	return nil
}

// statusWriter is the stream of a transport of grpc-go.
type statusWriter interface {
	WriteStatus(st *status.Status) error
}

// transport returns the stream of the call, or false if the transport is not grpc-go's.
func (c *Call) transport() (statusWriter, bool) {
	stream, ok := grpc.ServerTransportStreamFromContext(c.ctx.Context).(statusWriter)
	return stream, ok
}

// writeStatus sends the status of an error to the client. It has no effect if the call has ended, and if the
// transport is not grpc-go's.
func (c *Call) writeStatus(err error) {
	if stream, ok := c.transport(); ok {
		_ = stream.WriteStatus(StatusOf(err)) // fails if the call has ended
	}
}
