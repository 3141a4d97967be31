package callcel

import (
	"fmt"
	"net/netip"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// inCIDR implements the function in_cidr.
func inCIDR(addr, network ref.Val) ref.Val {
	a, ok := addr.(types.String)
	n, okNetwork := network.(types.String)
	if !ok || !okNetwork {
		return types.NewErr("in_cidr needs two strings")
	}
	parsed, err := netip.ParseAddr(string(a))
	if err != nil {
		return types.NewErr("in_cidr: the address is not one")
	}
	p, err := ParseNetwork(string(n))
	if err != nil {
		return types.NewErr("in_cidr: the network is not one")
	}
	return types.Bool(p.Contains(parsed.Unmap().WithZone("")))
}

// ParseNetwork parses a network or an address. IPv4 in IPv6 form counts as IPv4.
func ParseNetwork(text string) (netip.Prefix, error) {
	n, err := netip.ParsePrefix(text)
	if err != nil {
		a, errAddr := netip.ParseAddr(text)
		if errAddr != nil || a.Zone() != "" {
			return n, fmt.Errorf(`%.60q is not a network or an address; want "10.0.0.0/8" or "192.0.2.1"`, text)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	if a := n.Addr(); a.Is4In6() && n.Bits() >= 96 {
		n = netip.PrefixFrom(a.Unmap(), n.Bits()-96)
	}
	if n != n.Masked() {
		return n, fmt.Errorf("%q has bits beyond its length; want %q", text, n.Masked())
	}
	return n, nil
}
