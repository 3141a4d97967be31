// Package address resolves the addresses that the command's flags name.
package address

import (
	"context"
	"errors"
	"net"
)

// Resolve resolves host:port to an address. The command checks the result and listens on
// it, so that both use the same address. An empty host means all addresses of the machine.
func Resolve(ctx context.Context, address string) (*net.TCPAddr, error) {
	host, name, err := net.SplitHostPort(address)
	if e, ok := errors.AsType[*net.AddrError](err); ok {
		return nil, errors.New(e.Err) // the caller names the address
	} else if err != nil {
		return nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "tcp", name)
	if err != nil || host == "" {
		return &net.TCPAddr{Port: port}, err
	}
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return nil, err
	}
	return &net.TCPAddr{IP: ips[0].IP, Zone: ips[0].Zone, Port: port}, nil
}
