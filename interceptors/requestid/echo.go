package requestid

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/responsemd"
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

// around calls next on a server of grpc-go and sends the id back: see responsemd.Around.
//
//go:noinline // its variables would be on the stack of every call, on a client too
func (e *echoes) around(ctx context.Context, call *hauberk.Call, id string, next hauberk.Next) error {
	return responsemd.Around(ctx, call, next, echoed{e, ctx, id})
}

// echoed is the id of one call.
type echoed struct {
	echoes *echoes
	ctx    context.Context //nolint:containedctx // of the call, for the end of its header
	id     string
}

// Send passes metadata with the id to set.
func (e echoed) Send(call *hauberk.Call, set func(*hauberk.Call, metadata.MD) error) error {
	return e.echoes.send(e.ctx, call, e.id, set)
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
