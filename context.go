package hauberk

import (
	"context"

	"github.com/hauberk-rpc/hauberk/internal/pushback"
)

// callContext is the context that a chain starts with. It lives inside the Call,
// so that finding the call in a context costs no allocation.
type callContext struct {
	context.Context

	call *Call
}

type (
	callKey     struct{}
	incomingKey struct{}
)

// Value answers for the call itself and asks the parent for the rest.
func (c *callContext) Value(key any) any {
	switch key.(type) {
	case callKey:
		return c.call
	case incomingKey:
		if c.call.side == ServerSide {
			return c.call
		}
	case pushback.IncomingKey:
		if c.call.side == ServerSide {
			return (*outgoing)(c.call)
		}
	}
	return c.Context.Value(key)
}

// FromContext returns the call that ctx belongs to. In a handler and in a server chain
// that is the incoming call, in a client chain the outgoing one, or inside of concurrent
// attempts their copy ([Call.Attempt]). It returns nil outside of calls.
func FromContext(ctx context.Context) *Call {
	call, _ := ctx.Value(callKey{}).(*Call)
	return call
}

// Incoming returns the context of the incoming call whose handler created ctx. An
// outgoing call has its own state and inherits none. An interceptor of a client chain
// that needs the state of the incoming call reads it from that context:
//
//	id, ok := requestid.Key.FromContext(hauberk.Incoming(ctx))
//
// If there is no incoming call, the context has no state.
func Incoming(ctx context.Context) context.Context {
	if call, ok := ctx.Value(incomingKey{}).(*Call); ok {
		return &call.ctx
	}
	return context.Background()
}
