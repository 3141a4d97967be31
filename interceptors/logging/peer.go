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

	place uint64 // in peerHandlers
}

// hasAttr reports whether there is an attribute: its names may leave it out.
func (p *peerAttr) hasAttr() bool { return p.attr.Key != "" || p.attr.Value.Kind() == slog.KindGroup }

// peerHandlers are the handlers of one method for the peers that call it most. A place is for some of the
// peers. It gets the handler of a peer whose calls were logged twice in a row there, since to make one costs
// more than it saves a call.
type peerHandlers [16]struct {
	last  atomic.Pointer[peerAttr] // that was logged last without a handler
	bound atomic.Pointer[peerHandler]
}

// peerHandler is a handler with the attribute of a peer.
type peerHandler struct {
	slog.Handler

	peer *peerAttr
}

// of returns h with the attribute of a peer, or h if it was not made. Safe for concurrent use.
func (p *peerHandlers) of(h slog.Handler, peer *peerAttr) (with slog.Handler, bound bool) {
	if peer == nil || !peer.hasAttr() {
		return h, false
	}
	place := &p[peer.place%uint64(len(p))]
	if known := place.bound.Load(); known != nil && known.peer == peer {
		return known.Handler, true
	}
	if place.last.Load() != peer {
		place.last.Store(peer)
		return h, false
	}
	made := &peerHandler{h.WithAttrs(peer.list()), peer}
	place.bound.Store(made)
	return made.Handler, true
}

// list returns the attributes of the address.
func (p *peerAttr) list() []slog.Attr {
	if p.attr.Key != "" {
		return []slog.Attr{p.attr}
	}
	return p.attr.Value.Group()
}

// of returns the attribute of an address. Safe for concurrent use.
func (p *peers) of(addr net.Addr) *peerAttr {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return p.make(netip.AddrPort{}, addr)
	}
	at := tcp.AddrPort()
	hash := maphash.Comparable(p.seed, at)
	place := &p.places[hash%uint64(len(p.places))]
	if known := place.Load(); known != nil && known.addr == at {
		return known
	}
	made := p.make(at, addr)
	made.place = hash
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
