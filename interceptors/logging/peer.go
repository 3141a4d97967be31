package logging

import (
	"hash/maphash"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/hauberk-rpc/hauberk/internal/logtext"
)

// peers keeps the texts of the addresses that were asked for last: a connection
// carries many calls, and to write its address costs each an allocation. Addresses
// share places, the later one stays.
type peers struct {
	seed   maphash.Seed
	places [256]atomic.Pointer[peerText]
}

type peerText struct {
	addr netip.AddrPort
	text string
}

// text returns an address as text. Safe for concurrent use.
func (p *peers) text(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return logtext.Cut(addr.String(), maxName)
	}
	at := tcp.AddrPort()
	place := &p.places[maphash.Comparable(p.seed, at)%uint64(len(p.places))]
	if known := place.Load(); known != nil && known.addr == at {
		return known.text
	}
	made := &peerText{addr: at, text: logtext.Cut(addr.String(), maxName)}
	place.Store(made)
	return made.text
}
