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
	TransportFrames Transport = "frames" // forwards frames of HTTP/2; the default
	TransportGRPC   Transport = "grpc"   // grpc-go
)

func (t Transport) check() error {
	switch t {
	case "", TransportFrames, TransportGRPC:
		return nil
	default:
		return fmt.Errorf("gateway: Transport is %q; want %q or %q", t, TransportFrames, TransportGRPC)
	}
}

func (c Config) checkTarget() error {
	if c.Transport == TransportGRPC {
		return grpctransport.CheckTarget(c.Upstream)
	}
	_, err := target.Parse(c.Upstream)
	return err
}

// newServer makes the side for clients of a transport.
type newServer func(handle transport.Handler) transport.Server

// transport makes both sides of the configured transport.
func (c Config) transport(
	secure secrets, rec *limits.Recorder, memory *limits.Gauge,
) (transport.Upstream, newServer, error) {
	connections := c.Connections.internal(secure.upstream)
	if c.Transport == TransportGRPC {
		config := c.grpc(rec)
		config.TLS = secure.clients
		upstream, err := grpctransport.NewUpstream(c.Upstream, config, connections)
		return upstream, func(h transport.Handler) transport.Server { return grpctransport.NewServer(config, h) }, err
	}
	frames := c.frames(rec, memory)
	frames.Connections = connections
	upstream, err := frametransport.NewUpstream(c.Upstream, frames, nil)
	return upstream, func(h transport.Handler) transport.Server { return frametransport.NewServer(frames, h) }, err
}
