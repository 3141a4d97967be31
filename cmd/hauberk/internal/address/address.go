// Package address resolves the addresses that the command's flags name.
package address

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
)

// Listen returns the address of the flag --listen. Calls are in plain text: an address that other
// machines can reach needs insecure. example is an address for errors.
func Listen(ctx context.Context, flag, example string, insecure bool) (*net.TCPAddr, error) {
	if flag == "" {
		return nil, fmt.Errorf("--listen is missing; want an address such as %s", example)
	}
	addr, err := Resolve(ctx, flag)
	switch {
	case err != nil:
		return nil, fmt.Errorf("--listen %q is not an address: %w;"+
			" want host:port, such as %s", flag, err, example)
	case !addr.IP.IsLoopback() && !insecure:
		return nil, fmt.Errorf("--listen %q accepts plain-text calls from other machines;"+
			" want a loopback address such as 127.0.0.1:%d, or --insecure", flag, addr.Port)
	default:
		return addr, nil
	}
}

// maxPath is the longest path of a socket, on Linux.
const maxPath = 107

// Calls is [Listen], but also accepts unix:PATH, which only local processes can reach.
func Calls(ctx context.Context, flag, example string, insecure bool) (net.Addr, error) {
	path, ok := strings.CutPrefix(flag, "unix:")
	if !ok {
		addr, err := Listen(ctx, flag, example, insecure)
		if err != nil {
			return nil, err
		}
		return addr, nil
	}
	if slashes, ok := strings.CutPrefix(path, "//"); ok { // as in unix:///path
		path = slashes
	}
	if path == "" || len(path) > maxPath {
		return nil, fmt.Errorf("--listen %q has a path of %d bytes; want unix:PATH with 1 to %d",
			flag, len(path), maxPath)
	}
	return &net.UnixAddr{Name: path, Net: "unix"}, nil
}

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
