package gateway

import (
	"fmt"

	"github.com/hauberk-rpc/hauberk/gateway/internal/frametransport"
	"github.com/hauberk-rpc/hauberk/gateway/internal/grpctransport"
	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
	"github.com/hauberk-rpc/hauberk/gateway/internal/target"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// Transport is the name of an implementation of HTTP/2. The package documentation has the
// differences.
type Transport string

// The values of Transport.
const (
	TransportGRPC   Transport = "grpc"   // grpc-go
	TransportFrames Transport = "frames" // forwards frames; not complete yet
)

func (t Transport) check() error {
	switch t {
	case "", TransportGRPC, TransportFrames:
		return nil
	default:
		return fmt.Errorf("gateway: Transport is %q; want %q or %q", t, TransportGRPC, TransportFrames)
	}
}

func (c Config) checkTarget() error {
	if c.Transport == TransportFrames {
		_, err := target.Parse(c.Upstream)
		return err
	}
	return grpctransport.CheckTarget(c.Upstream)
}

// newServer makes the side for clients of a transport.
type newServer func(handle transport.Handler) transport.Server

// transport makes both sides of the configured transport.
func (c Config) transport(
	secure secrets, rec *limits.Recorder, memory *limits.Gauge,
) (transport.Upstream, newServer, error) {
	connections := c.Connections.internal(secure.upstream)
	if c.Transport == TransportFrames {
		frames := c.frames(rec, memory)
		frames.Connections = connections
		upstream, err := frametransport.NewUpstream(c.Upstream, frames, nil)
		return upstream, func(h transport.Handler) transport.Server { return frametransport.NewServer(frames, h) }, err
	}
	config := c.grpc(rec)
	config.TLS = secure.clients
	upstream, err := grpctransport.NewUpstream(c.Upstream, config, connections)
	return upstream, func(h transport.Handler) transport.Server { return grpctransport.NewServer(config, h) }, err
}
