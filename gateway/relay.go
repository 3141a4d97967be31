package gateway

import (
	"context"
	"slices"
	"sync/atomic"

	"golang.org/x/net/http2/hpack"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// direct lets the transport forward calls by itself while the chain of clients has no interceptor and
// nothing else looks at their calls.
type direct struct {
	gateway *Gateway
	live    *hauberk.Live
	last    atomic.Pointer[seenChain] // nil before the first call
}

// seenChain is a chain, and whether it has no interceptor.
type seenChain struct {
	chain *hauberk.Chain
	empty bool
}

var _ transport.Direct = (*direct)(nil)

// forwardDirectly makes the transport forward calls directly, if it can and the configuration permits it.
func (g *Gateway) forwardDirectly(live *hauberk.Live) {
	server, ok := g.server.(transport.DirectServer)
	if ok && g.client == nil && g.change == nil && !g.address && g.messages == nil {
		server.ForwardTo(g.upstream, &direct{gateway: g, live: live})
	}
}

// empty reports whether the chain in force has no interceptor.
func (d *direct) empty() bool {
	chain := d.live.Chain()
	seen := d.last.Load()
	if seen == nil || seen.chain != chain {
		explained, err := chain.Explain("/any.Service/Method")
		seen = &seenChain{chain: chain, empty: err == nil && len(explained.Steps) == 0}
		d.last.Store(seen)
	}
	return seen.empty
}

// Accepts is [transport.Direct.Accepts].
func (d *direct) Accepts(method string) bool {
	g := d.gateway
	switch {
	case !d.empty(), g.memory != nil && g.memory.Full():
		return false
	case g.health != "" && method == healthpb.Health_Check_FullMethodName:
		return false
	default:
		return true
	}
}

// RequestFields is [transport.Direct.RequestFields].
func (d *direct) RequestFields(fields []hpack.HeaderField) []hpack.HeaderField {
	if strip := d.gateway.strip; len(strip) > 0 {
		fields = slices.DeleteFunc(fields, func(f hpack.HeaderField) bool { return strip[plain(f.Name)] })
	}
	return forwardedFields(fields, requestReserved)
}

// ResponseFields is [transport.Direct.ResponseFields].
func (d *direct) ResponseFields(fields []hpack.HeaderField) []hpack.HeaderField {
	return forwardedFields(fields, responseReserved)
}

// Answered is [transport.Direct.Answered].
func (d *direct) Answered(method string) {
	if methods := &d.gateway.methods; !methods.known(method) {
		methods.learn(method)
	}
}

// Ended is [transport.Direct.Ended].
func (d *direct) Ended(method string, end transport.Status) {
	if ofMethod(end.Code) {
		d.Answered(method)
	}
}

// Unopened is [transport.Direct.Unopened].
func (d *direct) Unopened(ctx context.Context, err error) transport.Status {
	return statusOf(openError(ctx, err), nil)
}
