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
// believed.
func TrustedHops(networks ...netip.Prefix) Interceptor {
	return &setting{func(c *Chain) error {
		for _, n := range networks {
			if !n.IsValid() {
				return errors.New("TrustedHops was given an invalid network")
			}
		}
		c.trusted = append(c.trusted, networks...)
		return nil
	}}
}

// maxHops bounds how many entries of x-forwarded-for are looked at.
const maxHops = 32

// ClientAddr returns the address that a call on a server comes from: that of the
// peer, or, if the peer is a trusted hop ([TrustedHops]), the last entry of
// x-forwarded-for that is none. An entry that is not an address ends the search:
// what stands before it was not written by a trusted hop. IPv4 addresses in IPv6
// form are returned as IPv4, without zones. The zero Addr stands for a peer
// without an address (an in-memory connection), and for calls on a client.
func (c *Call) ClientAddr() netip.Addr {
	p := c.Peer()
	if c.side == ClientSide || p == nil {
		return netip.Addr{}
	}
	at := addrOf(p.Addr)
	if !c.plan.chain.trusts(at) {
		return at
	}
	for i, entry := range c.forwarded() {
		hop, err := netip.ParseAddr(strings.TrimSpace(entry))
		if err != nil || i == maxHops {
			return at
		}
		at = hop.Unmap().WithZone("")
		if !c.plan.chain.trusts(at) {
			return at
		}
	}
	return at
}

// forwarded returns the entries of x-forwarded-for, the last first.
func (c *Call) forwarded() []string {
	lines := c.Metadata(c.ctx.Context, "x-forwarded-for")
	entries := strings.Split(strings.Join(lines, ","), ",")
	slices.Reverse(entries)
	return entries
}

func (c *Chain) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(c.trusted, func(n netip.Prefix) bool { return n.Contains(a) })
}

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
