// Package address finds out what an address given to the command stands for.
package address

import (
	"context"
	"errors"
	"net"
)

// Resolve returns the address that a name stands for, so that what is checked is
// what is listened on. No host is all addresses of the machine.
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
