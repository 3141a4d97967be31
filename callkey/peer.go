package callkey

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/hauberk-rpc/hauberk"
)

// Peer puts the calls of each peer together.
//
//   - On a server a peer is the address that a call comes from
//     ([hauberk.Call.ClientAddr]), without the port, or the text of an address that is not
//     an IP address. Of an IPv6 address the first 64 bits count, since a single host
//     commonly chooses its addresses from a /64; [Network] counts other lengths. An IPv4 address
//     that NAT64 has translated (64:ff9b::/96, RFC 6052) counts as the IPv4 address. All peers
//     of Unix sockets are one: a client chooses the path of its end.
//   - On a client a peer is the target of the connection.
//
// Connections that have neither are together.
func Peer() Key { return Key{name: "peer", parts: []part{{network: ofHost}}} }

// Network is [Peer] with the given number of leading bits of the addresses, 0 to 32 of
// IPv4 and 0 to 128 of IPv6.
func Network(ipv4, ipv6 int) Key {
	k := Key{name: "network", parts: []part{{network: network{ipv4, ipv6}}}}
	if ipv4 < 0 || ipv4 > 32 || ipv6 < 0 || ipv6 > 128 {
		k.err = fmt.Errorf("callkey.Network was given %d and %d bits; want 0 to 32 and 0 to 128", ipv4, ipv6)
	}
	return k
}

// network is how many bits of an address count.
type network struct{ ipv4, ipv6 int }

var ofHost = network{32, 64} //nolint:gochecknoglobals // never written

// The first byte of the key of a peer distinguishes what follows, so that no text looks like an address.
// The length of an address is fixed and that of text comes first, so that no key is the beginning
// of another.
const (
	isAddress = iota
	isText    // after its length, in 4 bytes
	isNone
)

const textAt = 1 + 4

// append appends the key of the peer of a call, on a client of its target.
func (n network) append(call *hauberk.Call, dst []byte) []byte {
	if addr := call.ClientAddr(); addr.IsValid() {
		first := n.of(addr).As16()
		return append(append(dst, isAddress), first[:]...)
	}
	name, ok := nameOfPeer(call)
	if !ok {
		return append(dst, isNone)
	}
	dst = binary.BigEndian.AppendUint32(append(dst, isText), uint32(len(name)))
	return append(dst, name...)
}

// PeerName returns the readable form of the key of a peer that [Key.AppendOrPeer] has returned: an
// address, a target, or "" for none.
func PeerName(key string) string {
	switch {
	case len(key) == 1+16 && key[0] == isAddress:
		addr, _ := netip.AddrFromSlice([]byte(key[1:]))
		return addr.Unmap().String()
	case len(key) >= textAt && key[0] == isText:
		return key[textAt:]
	default:
		return ""
	}
}

// nat64 is the prefix of IPv4 addresses that NAT64 has translated (RFC 6052, section 2.1). Its first 64 bits are
// those of every such host.
var nat64 = netip.MustParsePrefix("64:ff9b::/96") //nolint:gochecknoglobals // never written

// of returns the first address of the network that a is in.
func (n network) of(a netip.Addr) netip.Addr {
	if nat64.Contains(a) {
		all := a.As16()
		a = netip.AddrFrom4([4]byte(all[12:]))
	}
	bits := n.ipv6
	if a.Is4() {
		bits = n.ipv4
	}
	if p, err := a.Prefix(bits); err == nil {
		return p.Addr()
	}
	return a
}

// nameOfPeer returns the name of a peer without an IP address.
func nameOfPeer(call *hauberk.Call) (name string, ok bool) {
	if call.Side() == hauberk.ClientSide {
		return call.Target(), true
	}
	p := call.Peer()
	if p == nil || p.Addr == nil {
		return "", false
	}
	if network := p.Addr.Network(); strings.HasPrefix(network, "unix") {
		return network, true // the client chooses the path, if it has one
	}
	return p.Addr.String(), true
}
