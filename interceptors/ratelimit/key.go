package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
)

// Key says which calls share a quota. Make it with one of the functions here; the
// zero Key is that of [ByPeer].
type Key struct {
	kind    string // for people, in rejections and rules
	of      func(ctx context.Context, call *hauberk.Call) (string, bool)
	whole   bool    // one quota for all calls
	network network // without of, or where it finds nothing
	reads   []hauberk.StateKey
	err     error
}

// ByPeer counts the calls of each peer: on a server by the address that they come
// from ([hauberk.Call.ClientAddr]: behind trusted proxies the one they tell), without
// the port, or by the text of an address that is no IP address; on a client by the
// target of the connection. Connections that have neither share a quota.
//
// Whoever has an IPv6 network has many addresses: see [ByNetwork].
func ByPeer() Key {
	return Key{kind: "peer", network: wholeAddress}
}

// ByNetwork is [ByPeer] with the first bits of the addresses only, 0 to 32 of IPv4
// and 0 to 128 of IPv6. Against strangers ByNetwork(32, 64) is of use: a single
// host commonly has a /64 to choose its addresses from.
func ByNetwork(ipv4, ipv6 int) Key {
	k := Key{kind: "network", network: network{ipv4, ipv6}}
	if ipv4 < 0 || ipv4 > wholeAddress.ipv4 || ipv6 < 0 || ipv6 > wholeAddress.ipv6 {
		k.err = fmt.Errorf("ByNetwork was given %d and %d bits; want 0 to %d and 0 to %d",
			ipv4, ipv6, wholeAddress.ipv4, wholeAddress.ipv6)
	}
	return k
}

// ByMethod counts the calls of each method, whoever makes them.
func ByMethod() Key {
	return newKey("method", func(_ context.Context, call *hauberk.Call) (string, bool) {
		return call.Method().FullName(), true
	})
}

// ByMetadata counts the calls with each value of a key of the request metadata,
// whose case does not matter. Of several values the last counts, which the
// nearest proxy wrote. Clients write metadata as they please: one who makes up
// values has a quota for each.
func ByMetadata(name string) Key {
	name = strings.ToLower(name)
	k := newKey("metadata:"+name, func(ctx context.Context, call *hauberk.Call) (string, bool) {
		values := call.Metadata(ctx, name)
		if len(values) == 0 {
			return "", false
		}
		return values[len(values)-1], true
	})
	if !isMetadataKey(name) {
		k.err = fmt.Errorf("ByMetadata was given %q; want a metadata key of letters, digits, '-', '_' and '.'", name)
	}
	return k
}

// ByState counts the calls with each value of a piece of the call's state, such as
// the user:
//
//	ratelimit.ByState(authn.User)
//
// [hauberk.New] rejects a chain in which nothing further out writes it.
func ByState(key hauberk.Key[string]) Key {
	k := newKey(key.Name(), func(_ context.Context, call *hauberk.Call) (string, bool) {
		return key.Get(call)
	}, key)
	if key.Name() == "" {
		k.err = errors.New("ByState was given a key without a name; make keys with hauberk.NewKey")
	}
	return k
}

// Together counts all calls as one.
func Together() Key {
	return Key{kind: "everything", whole: true}
}

// By counts the calls for which of returns the same key; false stands for none. of
// runs before the request is read, must be safe for concurrent use, and must write
// keys that are made of parts so that they cannot be mistaken for each other. name
// is what clients and operators are told in place of keys: "tenant". reads is the
// state that of reads, for the proof of order as with [ByState].
func By(
	name string, of func(ctx context.Context, call *hauberk.Call) (key string, ok bool), reads ...hauberk.StateKey,
) Key {
	k := newKey(name, of, reads...)
	switch {
	case name == "":
		k.err = errors.New("By was given an empty name; want the kind of key, such as \"tenant\"")
	case of == nil:
		k.err = fmt.Errorf("By %q was given a nil function", name)
	}
	return k
}

func newKey(
	kind string, of func(context.Context, *hauberk.Call) (string, bool), reads ...hauberk.StateKey,
) Key {
	if kind == "" {
		kind = "key" // of an error: an empty kind is the zero Key's
	}
	return Key{kind: kind, of: of, network: wholeAddress, reads: reads}
}

func isMetadataKey(name string) bool {
	return name == ":authority" || metadatakey.Legal(name)
}

// byPeer reports whether all calls are counted by where they come from.
func (k *Key) byPeer() bool { return k.of == nil && !k.whole }

// network is how many bits of an address count.
type network struct{ ipv4, ipv6 int }

var wholeAddress = network{32, 128} //nolint:gochecknoglobals // never written

// of returns the first address of the network that a is in.
func (n network) of(a netip.Addr) netip.Addr {
	bits := n.ipv6
	if a.Is4() {
		bits = n.ipv4
	}
	if p, err := a.Prefix(bits); err == nil {
		return p.Addr()
	}
	return a
}
