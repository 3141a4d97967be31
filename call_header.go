package hauberk

import "slices"

// BeforeHeader registers f, before next, to run once just before the stream of a call on
// a server sends its response header: with the first message, or when the handler calls
// SendHeader of its stream. The one response of a method without server streaming is sent
// once the chain has returned. f can add to the header with [Call.SetHeader], and must not
// block. f does not run
//
//   - if the handler calls grpc.SendHeader with a context, which sends the header at
//     once;
//   - if nothing is sent before the chain returns, so that a call that fails early
//     stays Trailers-Only;
//   - if a goroutine that the handler left running calls SendHeader after the handler has
//     returned: SendHeader returns CANCELLED then, as Send does;
//   - in a unary call, and on a client.
//
// If f is nil, next returns INTERNAL.
func (c *Call) BeforeHeader(f func()) {
	if c.side == ClientSide {
		return
	}
	if f == nil {
		c.draft().misuse("BeforeHeader")
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
