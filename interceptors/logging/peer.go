package logging

import (
	"hash/maphash"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/hauberk-rpc/hauberk/internal/logtext"
)

// peers is a cache of the attributes of addresses. A connection carries many calls, and
// to format its address costs allocations. An address replaces another one of the same
// place.
type peers struct {
	names  *Names
	seed   maphash.Seed
	places [256]atomic.Pointer[peerAttr]
}

// peerAttr is the attribute of an address: one, or a group without a name, whose
// attributes handlers write in its place.
type peerAttr struct {
	addr netip.AddrPort
	ip   netip.Addr // as hauberk.Call.ClientAddr returns addresses
	attr slog.Attr
}

// of returns the attribute of an address. Safe for concurrent use.
func (p *peers) of(addr net.Addr) *peerAttr {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return p.make(netip.AddrPort{}, addr)
	}
	at := tcp.AddrPort()
	place := &p.places[maphash.Comparable(p.seed, at)%uint64(len(p.places))]
	if known := place.Load(); known != nil && known.addr == at {
		return known
	}
	made := p.make(at, addr)
	place.Store(made)
	return made
}

func (p *peers) make(at netip.AddrPort, addr net.Addr) *peerAttr {
	text := logtext.Cut(addr.String(), maxName)
	if !at.IsValid() {
		at, _ = netip.ParseAddrPort(text)
	}
	var list []slog.Attr
	ip := at.Addr().Unmap()
	if ip.IsValid() {
		list = with(list, p.names.PeerAddress, slog.StringValue(ip.String()))
		list = with(list, p.names.PeerPort, slog.IntValue(int(at.Port())))
	} else {
		list = with(list, p.names.PeerAddress, slog.StringValue(text))
	}
	list = with(list, p.names.Peer, slog.StringValue(text))
	a := &peerAttr{addr: at, ip: ip.WithZone("")}
	switch len(list) {
	case 0:
	case 1:
		a.attr = list[0]
	default:
		a.attr.Value = slog.GroupValue(list...)
	}
	return a
}
