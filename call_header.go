package hauberk

import "slices"

// BeforeHeader registers f, before next, to run once when the stream of a call on a
// server is about to send the response header: with its first message, or because the
// handler calls SendHeader of its stream; grpc.SendHeader with a context does not run f,
// and sends the header without what f would add. f can still add to the header with [Call.SetHeader]. It does
// not run if nothing is sent before the chain returns, so that a call that fails before
// stays Trailers-Only, nor in a unary call, nor on a client. It must not block.
func (c *Call) BeforeHeader(f func()) {
	if c.side == ClientSide {
		return
	}
	more := c.lazy()
	var before []func()
	if registered := more.beforeHeader.Load(); registered != nil {
		before = *registered
	}
	before = append(slices.Clip(before), f)
	more.beforeHeader.Store(&before)
}

// headerDue runs what BeforeHeader registered. Safe for concurrent use.
func (c *Call) headerDue() {
	more := c.more.Load()
	if more == nil || more.beforeHeader.Load() == nil {
		return
	}
	if before := more.beforeHeader.Swap(nil); before != nil {
		for _, f := range *before {
			f()
		}
	}
}
