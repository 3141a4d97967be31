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

// direct lets the transport forward calls by itself while no chain has an interceptor and nothing else
// looks at their calls.
type direct struct {
	gateway *Gateway
	chains  []*watchedChain
}

// watchedChain is one of the two chains of a gateway.
type watchedChain struct {
	live *hauberk.Live
	last atomic.Pointer[seenChain] // nil before the first call
}

// seenChain is a chain, and whether it has no interceptor.
type seenChain struct {
	chain *hauberk.Chain
	empty bool
}

var _ transport.Direct = (*direct)(nil)

// forwardDirectly makes the transport forward calls directly, if it can and the configuration permits it.
func (g *Gateway) forwardDirectly(live, client *hauberk.Live) {
	server, ok := g.server.(transport.DirectServer)
	if !ok || g.change != nil || g.address {
		return
	}
	d := &direct{gateway: g, chains: []*watchedChain{{live: live}}}
	if client != nil {
		d.chains = append(d.chains, &watchedChain{live: client})
	}
	server.ForwardTo(g.upstream, d)
}

// decodes reports whether the messages of a method must be decoded, or its calls be rejected because they cannot.
func (g *Gateway) decodes(method string) bool {
	if g.messages == nil {
		return false
	}
	descriptor, err := g.messages(method)
	return descriptor != nil || err != nil
}

// empty reports whether the chain in force has no interceptor.
func (w *watchedChain) empty() bool {
	chain := w.live.Chain()
	seen := w.last.Load()
	if seen == nil || seen.chain != chain {
		explained, err := chain.Explain("/any.Service/Method")
		seen = &seenChain{chain: chain, empty: err == nil && len(explained.Steps) == 0}
		w.last.Store(seen)
	}
	return seen.empty
}

// Accepts is [transport.Direct.Accepts].
func (d *direct) Accepts(method string) bool {
	g := d.gateway
	for _, c := range d.chains {
		if !c.empty() {
			return false
		}
	}
	switch {
	case g.memory != nil && g.memory.Full(), g.decodes(method):
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
