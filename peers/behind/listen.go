package behind

import (
	"net"
	"os"
	"strings"

	"github.com/hauberk-rpc/hauberk/gateway"
)

// Listen replaces net.Listen. An address without a host becomes one of the
// loopback interface.
func Listen(network, address string) (net.Listener, error) {
	if strings.HasPrefix(network, "tcp") && strings.HasPrefix(address, ":") {
		address = "127.0.0.1" + address
	}
	return Front(net.Listen(network, address))
}

// Front returns the listener of a server, with a gateway in front of it if the
// chain is Gateway or Frames: Addr is then the address of the gateway. It takes the results
// of a Listen method.
func Front(lis net.Listener, err error) (net.Listener, error) {
	if err != nil {
		return nil, err
	}
	if isGateway(current().name) && strings.HasPrefix(lis.Addr().Network(), "tcp") {
		if lis, err = inFront(lis); err != nil {
			return nil, err
		}
	}
	return lis, announce(lis.Addr().String())
}

// fronted is the listener of a server behind a gateway.
type fronted struct {
	net.Listener

	gateway *gateway.Gateway
	addr    net.Addr
}

func inFront(lis net.Listener) (net.Listener, error) {
	config := gateway.Config{Upstream: lis.Addr().String(), Transport: gateway.TransportGRPC}
	if current().name == Frames {
		config.Transport = gateway.TransportFrames
	}
	g, err := gateway.New(config)
	if err != nil {
		return nil, err
	}
	public, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() { _ = g.Serve(public) }()
	used()
	return &fronted{lis, g, public.Addr()}, nil
}

// Addr returns the address of the gateway.
func (f *fronted) Addr() net.Addr { return f.addr }

// Close closes the listener and stops the gateway.
func (f *fronted) Close() error {
	f.gateway.Stop()
	return f.Listener.Close()
}

// announce writes an address to the file that AddressVar names, if it does.
func announce(address string) error {
	file := os.Getenv(AddressVar)
	if file == "" {
		return nil
	}
	// Renamed, so that no reader finds half an address.
	if err := os.WriteFile(file+".new", []byte(address), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
