package concurrency

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
)

// Key chooses which calls share a limit, or whose share a call uses. Make it with one of the
// functions of this package.
type Key struct {
	kind  string // in rejections and rules
	of    func(ctx context.Context, call *hauberk.Call) (string, bool)
	whole bool // one limit for all calls
	reads []hauberk.StateKey
	err   error
}

// Global limits all calls together.
func Global() Key { return Key{kind: "everything", whole: true} }

// ByMethod limits the calls of each method.
func ByMethod() Key {
	return Key{kind: "method", of: func(_ context.Context, call *hauberk.Call) (string, bool) {
		return call.Method().FullName(), true
	}}
}

// ByPeer limits the calls of each peer.
//
//   - On a server a peer is the address that a call comes from
//     ([hauberk.Call.ClientAddr]), without the port; of an IPv6 address the first 64 bits.
//   - On a client a peer is the target of the connection.
//
// Connections that have neither share a limit.
func ByPeer() Key { return Key{kind: "peer"} }

// ByUser limits the calls with the same Issuer and Subject of [hauberk.IdentityKey].
func ByUser() Key {
	return byIdentity("user", func(id *hauberk.Identity) string {
		if id.Issuer == "" || id.Subject == "" {
			return id.Subject
		}
		return part(id.Issuer) + id.Subject
	})
}

// ByTenant limits the calls with the same Tenant of [hauberk.IdentityKey].
func ByTenant() Key {
	return byIdentity("tenant", func(id *hauberk.Identity) string { return id.Tenant })
}

func byIdentity(kind string, of func(id *hauberk.Identity) string) Key {
	return By(kind, func(_ context.Context, call *hauberk.Call) (string, bool) {
		id, ok := hauberk.IdentityKey.Get(call)
		if !ok || id == nil {
			return "", false
		}
		return of(id), true
	}, hauberk.IdentityKey)
}

// ByMetadata limits the calls with each value of a key of the request metadata, the last of
// several. Clients can write any metadata: a client that invents values has a limit for each.
func ByMetadata(name string) Key {
	name = strings.ToLower(name)
	k := Key{kind: "metadata:" + name, of: func(ctx context.Context, call *hauberk.Call) (string, bool) {
		values := call.Metadata(ctx, name)
		if len(values) == 0 {
			return "", false
		}
		return values[len(values)-1], true
	}}
	if name != ":authority" && !metadatakey.Legal(name) {
		k.err = fmt.Errorf("ByMetadata was given %.100q; "+
			"want a metadata key of letters, digits, '-', '_' and '.'", name)
	}
	return k
}

// ByState limits the calls with each value of a key of state. [hauberk.New] rejects a chain
// in which no outer interceptor writes it.
func ByState(key hauberk.Key[string]) Key {
	k := By(key.Name(), func(_ context.Context, call *hauberk.Call) (string, bool) { return key.Get(call) }, key)
	if key.Name() == "" {
		k.err = errors.New("ByState was given a key without a name; make keys with hauberk.NewKey")
	}
	return k
}

// By limits the calls for which keyOf returns the same key; false means that the call has none.
// keyOf runs before the request is read and must be safe for concurrent use. name is the kind of
// key, such as "project", in rejections and rules. reads lists the state that keyOf reads, for
// the order proof; with it, calls of public methods ([hauberk.Config.Public]) are not limited.
func By(
	name string, keyOf func(ctx context.Context, call *hauberk.Call) (key string, ok bool), reads ...hauberk.StateKey,
) Key {
	k := Key{kind: name, of: keyOf, reads: slices.Clone(reads)}
	switch {
	case name == "":
		k.kind, k.err = "key", errors.New("By was given an empty name; want the kind of key, such as \"project\"")
	case keyOf == nil:
		k.err = fmt.Errorf("By %q was given a nil function", name)
	}
	return k
}

// ByAll limits the calls that have the same value of each of several keys, such as
// ByAll(ByMethod(), ByTenant()). A call that lacks one of them has no key. Global and ByPeer
// cannot be combined.
func ByAll(keys ...Key) Key {
	var k Key
	kinds := make([]string, 0, len(keys))
	var errs []error
	for _, part := range keys {
		kinds = append(kinds, part.kind)
		k.reads = append(k.reads, part.reads...)
		errs = append(errs, part.err)
		if part.of == nil && part.err == nil {
			errs = append(errs, fmt.Errorf("ByAll was given the key %q, which cannot be combined", part.kind))
		}
	}
	if len(keys) == 0 {
		errs = append(errs, errors.New("ByAll was given no keys"))
	}
	k.kind, k.err = "key", errors.Join(errs...)
	if len(kinds) > 0 {
		k.kind = strings.Join(kinds, " and ")
	}
	k.of = func(ctx context.Context, call *hauberk.Call) (string, bool) {
		var all strings.Builder
		for i := range keys {
			value, ok := keys[i].of(ctx, call)
			if !ok || value == "" {
				return "", false
			}
			all.WriteString(part(value))
		}
		return all.String(), true
	}
	return k
}

// part returns a part of a combined key. The length shows where it ends, for any content.
func part(value string) string { return strconv.Itoa(len(value)) + ":" + value }

// byPeer reports whether all calls are limited by their peer.
func (k *Key) byPeer() bool { return k.of == nil && !k.whole && k.kind != "" }

// peerOf returns the key of the peer of a call, on a client of its target.
func peerOf(call *hauberk.Call) string {
	if call.Side() == hauberk.ClientSide {
		return "target:" + call.Target()
	}
	if addr := call.ClientAddr(); addr.IsValid() {
		if addr.Is6() {
			if p, err := addr.Prefix(ipv6Bits); err == nil {
				addr = p.Addr()
			}
		}
		return addr.String()
	}
	if p := call.Peer(); p != nil && p.Addr != nil {
		return "addr:" + p.Addr.String()
	}
	return ""
}

// ipv6Bits of an IPv6 address count: a single host commonly chooses its addresses from a /64.
const ipv6Bits = 64
