// Package responsemd sends metadata with the response of a call in a way that keeps the response
// of a call that fails early Trailers-Only.
package responsemd

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
)

// Sender has the metadata of one response. It passes it to set, which puts it into the header or
// the trailer.
type Sender interface {
	Send(call *hauberk.Call, set func(*hauberk.Call, metadata.MD) error) error
}

// Around calls next on a server of grpc-go and sends metadata with the response:
//
//   - in the header, if the call sends a message or succeeds,
//   - in the trailer, if it fails before, so that the response stays Trailers-Only,
//   - in the trailer, if the handler of a unary call or an outer interceptor has sent the
//     header already.
//
// A call does not fail if its metadata cannot be sent.
func Around[S Sender](ctx context.Context, call *hauberk.Call, next hauberk.Next, s S) error {
	var stream *headerOnce[S]
	if call.Kind() != hauberk.Unary {
		stream = &headerOnce[S]{call: call, sender: s}
		call.BeforeHeader(func() { stream.set() })
	}
	return hauberk.Observe(ctx, call, next, func(err error) {
		var sent bool
		switch {
		case stream != nil && err != nil:
			sent = stream.sent.Load()
		case stream != nil:
			sent = stream.set()
		case err == nil:
			sent = s.Send(call, (*hauberk.Call).SetHeader) == nil
		}
		if !sent {
			_ = s.Send(call, (*hauberk.Call).SetTrailer)
		}
	})
}

// headerOnce puts the metadata into the header of a stream once. A goroutine of the handler may
// still send while the chain ends.
type headerOnce[S Sender] struct {
	call        *hauberk.Call
	sender      S
	tried, sent atomic.Bool
}

// set reports whether the metadata is in the header.
func (h *headerOnce[S]) set() bool {
	if !h.tried.Swap(true) {
		h.sent.Store(h.sender.Send(h.call, (*hauberk.Call).SetHeader) == nil)
	}
	return h.sent.Load()
}
