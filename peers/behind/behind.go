package behind

import (
	"context"
	"time"

	"google.golang.org/grpc"
)

// handshakeTimeout bounds a server's handshake with a client, bare too, unless a
// test sets its own: one that hangs then fails its test in ten seconds and not in
// grpc-go's two minutes.
const handshakeTimeout = 10 * time.Second

// NewServer replaces grpc.NewServer.
func NewServer(opts ...grpc.ServerOption) *grpc.Server {
	opts = append([]grpc.ServerOption{grpc.ConnectionTimeout(handshakeTimeout)}, opts...)
	s := current()
	if s.server == nil || s.name == Wrapped {
		return grpc.NewServer(opts...)
	}
	return grpc.NewServer(s.server.ServerOptions(opts...)...)
}

// NewClient replaces grpc.NewClient.
func NewClient(target string, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	return grpc.NewClient(target, dialOptions(opts)...)
}

// Dial replaces grpc.Dial.
func Dial(target string, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	return grpc.Dial(target, dialOptions(opts)...) //nolint:staticcheck // tests of grpc-go call it
}

// DialContext replaces grpc.DialContext.
func DialContext(ctx context.Context, target string, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	return grpc.DialContext(ctx, target, dialOptions(opts)...) //nolint:staticcheck // tests of grpc-go call it
}

func dialOptions(opts []grpc.DialOption) []grpc.DialOption {
	s := current()
	if s.client == nil || s.name == Wrapped {
		return opts
	}
	return s.client.DialOptions(opts...)
}

// ServiceRegistrar is what services are registered with, by generated code and by
// reflection.
type ServiceRegistrar interface {
	grpc.ServiceRegistrar
	GetServiceInfo() map[string]grpc.ServiceInfo
}

// Registrar returns the registrar in front of srv.
func Registrar(srv grpc.ServiceRegistrar) ServiceRegistrar {
	if s := current(); s.server != nil {
		return s.server.Registrar(srv)
	}
	if srv, ok := srv.(ServiceRegistrar); ok {
		return srv
	}
	return uninformed{srv}
}

// uninformed is a registrar that does not report what is registered.
type uninformed struct{ grpc.ServiceRegistrar }

// GetServiceInfo returns nil.
func (uninformed) GetServiceInfo() map[string]grpc.ServiceInfo { return nil }

// Conn returns the connection in front of cc.
func Conn(cc grpc.ClientConnInterface) grpc.ClientConnInterface {
	s := current()
	if s.client == nil || s.name != Wrapped {
		return cc
	}
	if _, isWrapped := cc.(wrapped); isWrapped {
		return cc
	}
	return wrapped{s.client.ClientConn(cc)}
}

// wrapped marks a connection that the chain is in front of.
type wrapped struct{ grpc.ClientConnInterface }
