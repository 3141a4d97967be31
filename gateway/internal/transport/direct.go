package transport

import (
	"context"

	"golang.org/x/net/http2/hpack"
)

// Direct is what a transport needs to forward calls by itself, without the handler. Its methods are
// called on goroutines of the transport, which they must not block.
type Direct interface {
	// Accepts reports whether nothing has to run around a call of a method.
	Accepts(method string) bool
	// RequestFields removes the fields of a request that are not forwarded, and returns the others
	// in the same array.
	RequestFields(fields []hpack.HeaderField) []hpack.HeaderField
	// ResponseFields does the same for a response header or trailer.
	ResponseFields(fields []hpack.HeaderField) []hpack.HeaderField
	// Answered reports that the upstream has answered a call of a method with a message.
	Answered(method string)
	// Ended reports the status of a call that the upstream has ended.
	Ended(method string, end Status)
	// Unopened returns the status of a call that could not be started, from the error of Open.
	Unopened(ctx context.Context, err error) Status
}

// DirectServer is a Server that can forward calls by itself.
type DirectServer interface {
	Server
	// ForwardTo makes the server forward the calls that direct accepts to up, if it can. Call it
	// before Serve.
	ForwardTo(up Upstream, direct Direct)
}
