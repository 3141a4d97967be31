package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
)

// Key chooses which calls share a quota. Make it with one of the functions of this package;
// the zero Key is that of [ByPeer].
type Key struct {
	kind    string // in rejections and rules
	of      func(ctx context.Context, call *hauberk.Call) (string, bool)
	whole   bool    // one quota for all calls
	network network // without of, or if it finds no key
	reads   []hauberk.StateKey
	err     error
}

// ByPeer counts the calls of each peer.
//
//   - On a server a peer is the address that a call comes from
//     ([hauberk.Call.ClientAddr]), without the port, or the text of an address that is not
//     an IP address. Of an IPv6 address the first 64 bits count, since a single host
//     commonly chooses its addresses from a /64; [ByNetwork] counts other lengths.
//   - On a client a peer is the target of the connection.
//
// Connections that have neither share a quota.
func ByPeer() Key {
	return Key{kind: "peer", network: ofHost}
}

// ByNetwork is [ByPeer] with the given number of leading bits of the addresses, 0 to 32 of
// IPv4 and 0 to 128 of IPv6.
func ByNetwork(ipv4, ipv6 int) Key {
	k := Key{kind: "network", network: network{ipv4, ipv6}}
	if ipv4 < 0 || ipv4 > wholeAddress.ipv4 || ipv6 < 0 || ipv6 > wholeAddress.ipv6 {
		k.err = fmt.Errorf("ByNetwork was given %d and %d bits; want 0 to %d and 0 to %d",
			ipv4, ipv6, wholeAddress.ipv4, wholeAddress.ipv6)
	}
	return k
}

// ByMethod counts the calls of each method, from all callers together.
func ByMethod() Key {
	return newKey("method", func(_ context.Context, call *hauberk.Call) (string, bool) {
		return call.Method().FullName(), true
	})
}

// ByMetadata counts the calls with each value of a key of the request metadata. The case of
// the key does not matter. Of several values the last one counts, which the nearest proxy
// wrote. Clients can write any metadata: a client that invents values has a quota for each.
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

// ByState counts the calls with each value of a key of state, such as the user:
//
//	ratelimit.ByState(authn.User)
//
// [hauberk.New] rejects a chain in which no outer interceptor writes it. Calls of public
// methods ([hauberk.Config.Public]) are not counted.
func ByState(key hauberk.Key[string]) Key {
	k := newKey(key.Name(), func(_ context.Context, call *hauberk.Call) (string, bool) {
		return key.Get(call)
	}, key)
	if key.Name() == "" {
		k.err = errors.New("ByState was given a key without a name; make keys with hauberk.NewKey")
	}
	return k
}

// Global counts all calls together.
func Global() Key {
	return Key{kind: "everything", whole: true}
}

// By counts the calls for which keyOf returns the same key; false means that the call has none.
// keyOf runs before the request is read and must be safe for concurrent use. Keys that it
// combines of several parts must not collide. name is the kind of key, such as "tenant", in
// rejections and rules. reads lists the state that keyOf reads, for the order proof, as with
// [ByState]; with it, calls of public methods are not counted.
func By(
	name string, keyOf func(ctx context.Context, call *hauberk.Call) (key string, ok bool), reads ...hauberk.StateKey,
) Key {
	k := newKey(name, keyOf, reads...)
	switch {
	case name == "":
		k.err = errors.New("By was given an empty name; want the kind of key, such as \"tenant\"")
	case keyOf == nil:
		k.err = fmt.Errorf("By %q was given a nil function", name)
	}
	return k
}

func newKey(
	kind string, of func(context.Context, *hauberk.Call) (string, bool), reads ...hauberk.StateKey,
) Key {
	if kind == "" {
		kind = "key" // of an invalid Key: the zero Key has an empty kind
	}
	return Key{kind: kind, of: of, network: ofHost, reads: slices.Clone(reads)}
}

func isMetadataKey(name string) bool {
	return name == ":authority" || metadatakey.Legal(name)
}

// byPeer reports whether all calls are counted by their peer.
func (k *Key) byPeer() bool { return k.of == nil && !k.whole }

// network is how many bits of an address count.
type network struct{ ipv4, ipv6 int }

var (
	wholeAddress = network{32, 128} //nolint:gochecknoglobals // never written
	ofHost       = network{32, 64}  //nolint:gochecknoglobals // never written
)

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
