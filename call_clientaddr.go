package hauberk

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"google.golang.org/grpc/peer"
)

// maxHops bounds how many entries of x-forwarded-for are looked at.
const maxHops = 32

// ClientAddr returns the caller's IP address on a server. If the peer is a trusted proxy
// ([Config.TrustedProxies], [Config.TrustUnixSockets]), it is the last untrusted entry of
// x-forwarded-for.
//
// It reads at most 32 entries, from the last to the first. An entry is an address, with
// or without a port and brackets ("192.0.2.1", "192.0.2.1:443", "[2001:db8::1]:443"). It
// stops at an entry of another form, since no trusted proxy wrote what precedes it. If it
// finds no untrusted entry, it returns the last address that it read.
//
// IPv4 addresses in IPv6 form are returned as IPv4, and all addresses without zones. The
// result is the zero Addr on a client, and for a peer without an IP address (an in-memory
// connection, a Unix socket) that is not a trusted proxy.
func (c *Call) ClientAddr() netip.Addr {
	p := c.Peer()
	if c.side == ClientSide || p == nil {
		return netip.Addr{}
	}
	chain := c.plan.chain
	var at netip.Addr // none on a Unix socket: the path that the peer has bound could look like an address
	unix := isUnix(p)
	if !unix {
		at = addrOf(p.Addr)
	}
	if trusted := chain.trusts(at) || chain.trustsUnix && unix; !trusted {
		return at
	}
	return chain.forwardedFor(at, c.Metadata(c.ctx.Context, "x-forwarded-for"))
}

// forwardedFor follows the entries of x-forwarded-for, the last first, from a trusted
// proxy to the first address that is not one.
func (c *Chain) forwardedFor(at netip.Addr, lines []string) netip.Addr {
	rest := strings.Join(lines, ",")
	for range maxHops {
		entry := rest[strings.LastIndexByte(rest, ',')+1:]
		hop, ok := parseHop(strings.TrimSpace(entry))
		if !ok {
			return at
		}
		if at = hop.Unmap().WithZone(""); !c.trusts(at) {
			return at
		}
		rest = strings.TrimSuffix(rest[:len(rest)-len(entry)], ",")
	}
	return at
}

// parseHop reads an entry of x-forwarded-for. RFC 7239 names the forms; several proxies
// write them there too.
func parseHop(entry string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(entry); err == nil {
		return addr, true
	}
	if addrPort, err := netip.ParseAddrPort(entry); err == nil {
		return addrPort.Addr(), true
	}
	inside, opens := strings.CutPrefix(entry, "[")
	inside, closes := strings.CutSuffix(inside, "]")
	addr, err := netip.ParseAddr(inside)
	return addr, opens && closes && err == nil && addr.Is6()
}

func (c *Chain) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(c.trusted, func(n netip.Prefix) bool { return n.Contains(a) })
}

// isUnix reports whether the connection of a call is a Unix socket, by the address of the
// server's end. Behind ServeHTTP the peer's address is a text that the peer chooses: the path
// that it has bound its end to.
func isUnix(p *peer.Peer) bool {
	if _, tcp := p.Addr.(*net.TCPAddr); tcp || p.Addr == nil {
		return false
	}
	if p.LocalAddr == nil && p.Addr.String() == "@" { // the text of an end without a path
		return true
	}
	return isUnixAddr(p.LocalAddr) || isUnixAddr(p.Addr)
}

func isUnixAddr(a net.Addr) bool {
	_, ok := a.(*net.UnixAddr)
	return ok || a != nil && a.Network() == "unix"
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
