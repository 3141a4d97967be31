package gateway

import (
	"cmp"
	"fmt"

	"github.com/hauberk-rpc/hauberk/gateway/internal/frametransport"
	"github.com/hauberk-rpc/hauberk/gateway/internal/grpctransport"
	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
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
func (c Config) transport(secure secrets) (transport.Upstream, newServer, error) {
	if c.Transport == TransportFrames {
		limits := c.frames()
		limits.Connections = c.Connections.internal(secure.upstream)
		upstream, err := frametransport.NewUpstream(c.Upstream, limits, nil)
		return upstream, func(h transport.Handler) transport.Server { return frametransport.NewServer(limits, h) }, err
	}
	limits := c.limits()
	limits.TLS = secure.clients
	upstream, err := grpctransport.NewUpstream(c.Upstream, limits, c.Connections.internal(secure.upstream))
	return upstream, func(h transport.Handler) transport.Server { return grpctransport.NewServer(limits, h) }, err
}

func (c Config) limits() grpctransport.Limits {
	return grpctransport.Limits{
		MessageSize:    cmp.Or(c.MaxMessageSize, DefaultMaxMessageSize),
		HeaderListSize: uint32(cmp.Or(c.MaxHeaderListSize, DefaultMaxHeaderListSize)),
		Streams:        uint32(cmp.Or(c.MaxConcurrentStreams, DefaultMaxConcurrentStreams)),
	}
}

func (c Config) frames() frametransport.Config {
	// From the upstream, the default is larger: a status may have large details.
	const upstreamHeaders = 256 << 10
	return frametransport.Config{
		MessageSize: cmp.Or(c.MaxMessageSize, DefaultMaxMessageSize),
		Clients: h2.Config{
			HeaderListSize: uint32(cmp.Or(c.MaxHeaderListSize, DefaultMaxHeaderListSize)),
			MaxStreams:     uint32(cmp.Or(c.MaxConcurrentStreams, DefaultMaxConcurrentStreams)),
		},
		Upstream: h2.Config{HeaderListSize: uint32(cmp.Or(c.MaxHeaderListSize, upstreamHeaders))},
	}
}
