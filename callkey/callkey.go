package callkey

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

// Key says which calls belong together. Make one with a function of this package; the zero Key
// is none, in whose place an interceptor uses its default. A Key is immutable and safe for
// concurrent use.
type Key struct {
	name       string
	parts      []part // none for Global
	reads      []hauberk.StateKey
	perMessage bool
	err        error
}

// part is a value of a call: of returns it, or it is the peer.
type part struct {
	of         func(ctx context.Context, call *hauberk.Call) (string, bool)
	request    Request // that of is a method of, or nil
	perMessage bool    // of a request
	network    network // if of is nil
}

// Global puts all calls together.
func Global() Key { return Key{name: "everything"} }

// Method puts the calls of each method together.
func Method() Key {
	return newKey("method", func(_ context.Context, call *hauberk.Call) (string, bool) {
		return call.Method().FullName(), true
	})
}

// User puts the calls with the same Issuer and Subject of [hauberk.IdentityKey] together.
func User() Key {
	return byIdentity("user", func(id *hauberk.Identity) string {
		if id.Subject == "" || id.Issuer == "" && !startsWithLength(id.Subject) {
			return id.Subject
		}
		return strconv.Itoa(len(id.Issuer)) + ":" + id.Issuer + id.Subject
	})
}

// startsWithLength reports whether a text could be mistaken for an issuer, after its length, and a subject.
func startsWithLength(text string) bool {
	rest := strings.TrimLeft(text, "0123456789")
	return len(rest) < len(text) && strings.HasPrefix(rest, ":")
}

// Tenant puts the calls with the same Tenant of [hauberk.IdentityKey] together.
func Tenant() Key {
	return byIdentity("tenant", func(id *hauberk.Identity) string { return id.Tenant })
}

func byIdentity(name string, of func(id *hauberk.Identity) string) Key {
	return Func(name, func(_ context.Context, call *hauberk.Call) (string, bool) {
		id, ok := hauberk.IdentityKey.Get(call)
		if !ok || id == nil {
			return "", false
		}
		return of(id), true
	}, hauberk.IdentityKey)
}

// Metadata puts the calls with the same value of a key of the request metadata together. The case
// of the key does not matter. Of several values the last one counts, which the nearest proxy
// wrote.
func Metadata(key string) Key {
	key = strings.ToLower(key)
	k := newKey("metadata:"+key, func(ctx context.Context, call *hauberk.Call) (string, bool) {
		values := call.Metadata(ctx, key)
		if len(values) == 0 {
			return "", false
		}
		return values[len(values)-1], true
	})
	if key != ":authority" && !metadatakey.Legal(key) {
		k.err = fmt.Errorf("callkey.Metadata was given %.100q; "+
			"want a metadata key of letters, digits, '-', '_' and '.'", key)
	}
	return k
}

// State puts the calls with the same value of a key of state together:
//
//	callkey.State(authn.User)
//
// [hauberk.New] rejects a chain in which no outer interceptor writes it.
func State(key hauberk.Key[string]) Key {
	k := newKey(key.Name(), func(_ context.Context, call *hauberk.Call) (string, bool) { return key.Get(call) }, key)
	if key.Name() == "" {
		k.err = errors.New("callkey.State was given a key without a name; make keys with hauberk.NewKey")
	}
	return k
}

// Func puts the calls together for which of returns the same value; false means that the call has
// none. of runs before the request is read and must be safe for concurrent use. name is the kind
// of value, such as "project", in rejections and decisions. reads lists the state that of reads,
// for the order proof.
func Func(
	name string, of func(ctx context.Context, call *hauberk.Call) (value string, ok bool), reads ...hauberk.StateKey,
) Key {
	k := newKey(name, of, reads...)
	switch {
	case name == "":
		k.err = errors.New("callkey.Func was given an empty name; want the kind of value, such as \"project\"")
	case of == nil:
		k.err = fmt.Errorf("callkey.Func %.100q was given a nil function", name)
	}
	return k
}

// Failed is a Key that could not be made, for functions that make keys: [Key.Err] returns err, which
// must not be nil.
func Failed(name string, err error) Key {
	k := newKey(name, func(context.Context, *hauberk.Call) (string, bool) { return "", false })
	if k.err = err; err == nil {
		k.err = fmt.Errorf("callkey.Failed %.100q was given no error", name)
	}
	return k
}

// All puts the calls together that have the same value of each of several keys, such as
// All(Method(), Tenant()). A call that lacks one of them has no key. With a key of messages all that read
// requests have to be of messages.
func All(keys ...Key) Key {
	var all Key
	names := make([]string, 0, len(keys))
	var errs []error
	for i, k := range keys {
		names = append(names, k.name)
		all.parts = append(all.parts, k.parts...)
		all.reads = append(all.reads, k.reads...)
		all.perMessage = all.perMessage || k.perMessage
		errs = append(errs, k.err)
		if len(k.parts) == 0 && k.err == nil {
			errs = append(errs, fmt.Errorf("callkey.All was given %s as key %d; want keys with a value",
				orElse(k.name, "a zero Key"), i+1))
		}
	}
	if len(keys) == 0 {
		errs = append(errs, errors.New("callkey.All was given no keys; want at least 1"))
	}
	errs = append(errs, all.checkMix())
	all.name, all.err = orElse(strings.Join(names, " and "), "key"), errors.Join(errs...)
	return all
}

func newKey(
	name string, of func(context.Context, *hauberk.Call) (string, bool), reads ...hauberk.StateKey,
) Key {
	return Key{name: orElse(name, "key"), parts: []part{{of: of}}, reads: slices.Clone(reads)}
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// Name returns the kind of key in rejections and decisions, such as "user" or "method and
// tenant". It never contains a value. The zero Key has none.
func (k *Key) Name() string { return k.name }

// Reads returns the state that the key reads, for [hauberk.Declaration.Reads].
func (k *Key) Reads() []hauberk.StateKey { return k.reads }

// Err returns what is wrong with the arguments that the key was made with.
func (k *Key) Err() error { return k.err }

// IsGlobal reports whether the key is that of [Global].
func (k *Key) IsGlobal() bool { return k.name != "" && len(k.parts) == 0 && k.err == nil }

// IsPeer reports whether the key is that of [Peer] or [Network].
func (k *Key) IsPeer() bool { return len(k.parts) == 1 && k.parts[0].of == nil && k.err == nil }

// Spares reports whether a limit leaves a call alone: one of an unknown method, which ends as
// UNIMPLEMENTED, unless unknown is set, and one of a public method ([hauberk.Config.Public]) if the
// key reads state, since its caller has no identity. Limits by peer count both.
func (k *Key) Spares(call *hauberk.Call, unknown bool) bool {
	if k.IsPeer() {
		return false
	}
	return !unknown && !call.Method().Known() || call.Public() && k.SparesPublic()
}

// SparesPublic reports whether a limit leaves calls of public methods alone, whose caller has no identity: the key
// reads state.
func (k *Key) SparesPublic() bool { return !k.IsPeer() && len(k.reads) > 0 }

// AppendOrPeer is [Key.Append], and appends the key of [Peer] if the call lacks the key. peer reports
// whether the key is that of a peer.
func (k *Key) AppendOrPeer(ctx context.Context, call *hauberk.Call, dst []byte) (key []byte, peer bool) {
	if key, ok := k.Append(ctx, call, dst); ok {
		return key, k.IsPeer()
	}
	return ofHost.append(call, dst), true
}

// Of is [Key.Append] as a string. It does not allocate for a key of one text, such as that of
// [User].
func (k *Key) Of(ctx context.Context, call *hauberk.Call) (key string, ok bool) {
	if len(k.parts) == 1 && k.parts[0].of != nil {
		key, ok = k.parts[0].of(ctx, call)
		return key, ok && key != ""
	}
	binary, ok := k.Append(ctx, call, nil)
	return string(binary), ok
}

// Append appends the key of a call to dst and returns the result. ok is false if the call lacks
// it; dst is unchanged then. It does not allocate if dst has room. The key is binary.
func (k *Key) Append(ctx context.Context, call *hauberk.Call, dst []byte) (key []byte, ok bool) {
	return k.append(ctx, call, nil, dst)
}

// append is Append, with the values of keys of messages read from msg unless that is nil.
func (k *Key) append(ctx context.Context, call *hauberk.Call, msg any, dst []byte) (key []byte, ok bool) {
	start := len(dst)
	for i := range k.parts {
		p := &k.parts[i]
		if p.of == nil {
			dst = p.network.append(call, dst)
			continue
		}
		var value string
		var ok bool
		if msg != nil && p.perMessage {
			value, ok = p.request.OfMessage(msg)
		} else {
			value, ok = p.of(ctx, call)
		}
		if !ok || value == "" {
			return dst[:start], false
		}
		if len(k.parts) > 1 {
			dst = append(strconv.AppendInt(dst, int64(len(value)), 10), ':')
		}
		dst = append(dst, value...)
	}
	return dst, true
}
