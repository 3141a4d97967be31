package target

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
)

// Lookup returns the addresses of a host, as net.Resolver.LookupNetIP does.
type Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

// lookup returns the function that the target needs.
func (t Target) lookup() Lookup {
	if t.Server == "" {
		return net.DefaultResolver.LookupNetIP
	}
	resolver := &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, t.Server)
		},
	}
	return resolver.LookupNetIP
}

var errNoAddress = errors.New("the name has no address")

// Resolve returns the addresses of the target, at least one. The families of IP alternate,
// as RFC 8305 recommends, so that one of them without connectivity costs one attempt. If
// lookup is nil, it is that of the target's DNS server.
func (t Target) Resolve(ctx context.Context, lookup Lookup) ([]Address, error) {
	if t.Addresses != nil {
		return t.Addresses, nil
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "tcp", t.Port)
	if err != nil {
		return nil, err
	}
	if lookup == nil {
		lookup = t.lookup()
	}
	ips, err := lookup(ctx, "ip", t.Host)
	switch {
	case err != nil:
		return nil, err
	case len(ips) == 0:
		return nil, errNoAddress
	}
	addresses := make([]Address, len(ips))
	for i, ip := range alternating(ips) {
		addresses[i] = Address{"tcp", net.JoinHostPort(ip.String(), strconv.Itoa(port))}
	}
	return addresses, nil
}

// alternating returns the addresses so that the families alternate, beginning with that of
// the first one. Within a family the order remains.
func alternating(ips []netip.Addr) []netip.Addr {
	var families [2][]netip.Addr // that of the first address, and the other
	first := ips[0].Unmap().Is4()
	for _, ip := range ips {
		ip = ip.Unmap()
		n := 0
		if ip.Is4() != first {
			n = 1
		}
		families[n] = append(families[n], ip)
	}
	var mixed []netip.Addr
	for i := range ips {
		for _, family := range families {
			if i < len(family) {
				mixed = append(mixed, family[i])
			}
		}
	}
	return mixed
}
