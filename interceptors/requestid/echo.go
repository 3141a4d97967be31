package requestid

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
)

// echoes puts ids into response headers.
type echoes struct {
	header string
	pool   sync.Pool // of *echo
}

// echo is metadata with one value.
type echo struct {
	md    metadata.MD
	value []string // the slice that stands in md
}

func (e *echoes) make() *echo {
	value := make([]string, 1)
	return &echo{md: metadata.MD{e.header: value}, value: value}
}

// send puts the id into the header. It fails if a link further out has sent the
// header already; a call is not failed for want of an echo.
//
// Making the metadata is half of what an echo costs, so that it is used again
// where SetHeader is known to copy.
func (e *echoes) send(ctx context.Context, call *hauberk.Call, id string) {
	if !copiesHeader(ctx) {
		_ = call.SetHeader(metadata.MD{e.header: {id}})
		return
	}
	one, ok := e.pool.Get().(*echo)
	if !ok {
		one = e.make()
	}
	one.value[0] = id
	_ = call.SetHeader(one.md)
	one.value[0] = ""
	e.pool.Put(one)
}

// copiesHeader reports whether the stream of a call is grpc-go's own, which merges
// header metadata into a map of its own, rather than a stand-in that may keep it.
func copiesHeader(ctx context.Context) bool {
	_, own := grpc.ServerTransportStreamFromContext(ctx).(interface {
		WriteStatus(st *status.Status) error
	})
	return own
}
