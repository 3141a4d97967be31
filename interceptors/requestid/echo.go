package requestid

import (
	"context"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
)

// echoes sends ids back to clients.
type echoes struct {
	header string
	pool   sync.Pool // of *echo
}

// echo is metadata with one value.
type echo struct {
	md    metadata.MD
	value []string // the only value of md
}

func (e *echoes) make() *echo {
	value := make([]string, 1)
	return &echo{md: metadata.MD{e.header: value}, value: value}
}

// around calls next on a server of grpc-go and sends the id back:
//
//   - in the header, if the call sends a message or succeeds,
//   - in the trailer, if it fails before, so that the response stays Trailers-Only,
//   - in the trailer, if the handler of a unary call or an outer interceptor has sent the
//     header already.
//
// A call does not fail if its id cannot be sent.
func (e *echoes) around(ctx context.Context, call *hauberk.Call, id string, next hauberk.Next) error {
	var stream *headerOnce
	if call.Kind() != hauberk.Unary {
		stream = &headerOnce{send: func() error { return e.send(ctx, call, id, (*hauberk.Call).SetHeader) }}
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
			sent = e.send(ctx, call, id, (*hauberk.Call).SetHeader) == nil
		}
		if !sent {
			_ = e.send(ctx, call, id, (*hauberk.Call).SetTrailer)
		}
	})
}

// headerOnce puts the id into the header of a stream once. A goroutine of the handler may
// still send while the chain ends.
type headerOnce struct {
	send        func() error
	tried, sent atomic.Bool
}

// set reports whether the id is in the header.
func (h *headerOnce) set() bool {
	if !h.tried.Swap(true) {
		h.sent.Store(h.send() == nil)
	}
	return h.sent.Load()
}

// send passes metadata with the id to set, which puts it into the header or the
// trailer.
//
// To make the metadata is half of the cost of an echo. It is used again if set copies it.
func (e *echoes) send(
	ctx context.Context, call *hauberk.Call, id string, set func(*hauberk.Call, metadata.MD) error,
) error {
	if !own(ctx) {
		return set(call, metadata.MD{e.header: {id}})
	}
	one, ok := e.pool.Get().(*echo)
	if !ok {
		one = e.make()
	}
	one.value[0] = id
	err := set(call, one.md)
	one.value[0] = ""
	e.pool.Put(one)
	return err
}

// own reports whether the stream of a call is one of grpc-go's server, which copies
// metadata. Other implementations may keep it.
func own(ctx context.Context) bool {
	_, own := grpc.ServerTransportStreamFromContext(ctx).(interface {
		WriteStatus(st *status.Status) error
	})
	return own
}
