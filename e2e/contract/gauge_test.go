package contract_test

import (
	"context"
	"sync"

	"google.golang.org/grpc/stats"
)

// gauge counts the calls that a server is serving, including those that its chain rejects. It
// signals when there are none.
type gauge struct {
	mu     sync.Mutex
	active int
	none   chan struct{} // closed while there are none
}

func newGauge() *gauge {
	g := &gauge{none: make(chan struct{})}
	close(g.none)
	return g
}

// HandleRPC counts the starts and ends of calls.
func (g *gauge) HandleRPC(_ context.Context, s stats.RPCStats) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch s.(type) {
	case *stats.Begin:
		g.active++
		if g.active == 1 {
			g.none = make(chan struct{})
		}
	case *stats.End:
		g.active--
		if g.active == 0 {
			close(g.none)
		}
	}
}

// TagRPC, TagConn and HandleConn do nothing.
func (g *gauge) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (g *gauge) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (g *gauge) HandleConn(context.Context, stats.ConnStats)                       {}

// idle waits until there are none, or ctx is done.
func (g *gauge) idle(ctx context.Context) {
	g.mu.Lock()
	none := g.none
	g.mu.Unlock()
	select {
	case <-none:
	case <-ctx.Done():
	}
}
