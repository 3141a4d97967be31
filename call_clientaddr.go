package hauberk

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// TrustedHops names the networks of the proxies in front of a server, whose word
// [Call.ClientAddr] takes for where a call came from. Without it no header is
// believed. IPv4 networks in IPv6 form count as IPv4.
func TrustedHops(networks ...netip.Prefix) Interceptor {
	return &setting{func(c *Chain) error {
		for _, n := range networks {
			if !n.IsValid() {
				return errors.New("TrustedHops was given an invalid network")
			}
			if a := n.Addr(); a.Is4In6() && n.Bits() >= 96 {
				n = netip.PrefixFrom(a.Unmap(), n.Bits()-96)
			}
			c.trusted = append(c.trusted, n)
		}
		return nil
	}}
}

// maxHops bounds how many entries of x-forwarded-for are looked at.
const maxHops = 32

// ClientAddr returns the address that a call on a server comes from: that of the
// peer, or, if the peer is a trusted hop ([TrustedHops]), the last entry of
// x-forwarded-for that is none. An entry that is not an address ends the search:
// what stands before it was not written by a trusted hop. So does the 32nd entry.
// IPv4 addresses in IPv6 form are returned as IPv4, and all without zones. The
// zero Addr stands for a peer without an address (an in-memory connection), and
// for calls on a client.
func (c *Call) ClientAddr() netip.Addr {
	p := c.Peer()
	if c.side == ClientSide || p == nil {
		return netip.Addr{}
	}
	at := addrOf(p.Addr)
	if !c.plan.chain.trusts(at) {
		return at
	}
	return c.plan.chain.forwardedFor(at, c.Metadata(c.ctx.Context, "x-forwarded-for"))
}

// forwardedFor follows the entries of x-forwarded-for, the last first, from a
// trusted hop to the first address that is none.
func (c *Chain) forwardedFor(at netip.Addr, lines []string) netip.Addr {
	rest := strings.Join(lines, ",")
	for range maxHops {
		entry := rest[strings.LastIndexByte(rest, ',')+1:]
		hop, err := netip.ParseAddr(strings.TrimSpace(entry))
		if err != nil {
			return at
		}
		if at = hop.Unmap().WithZone(""); !c.trusts(at) {
			return at
		}
		rest = strings.TrimSuffix(rest[:len(rest)-len(entry)], ",")
	}
	return at
}

func (c *Chain) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(c.trusted, func(n netip.Prefix) bool { return n.Contains(a) })
}

// addrOf returns the IP address of a connection's end, if it has one.
func addrOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	if a == nil {
		return netip.Addr{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}
