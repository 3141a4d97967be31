package transform

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
)

// rewrite is a checked [Metadata] with lower-case keys.
type rewrite struct {
	rename [][2]string // from, to
	remove []string
	set    metadata.MD
	add    metadata.MD
	pairs  []string // add as keys and values, if the other fields are empty
}

func newRewrite(m Metadata) (r rewrite, err error) {
	var errs []error
	take := func(err error) { errs = append(errs, err) }
	r.rename, err = renames(m.Rename)
	take(err)
	for _, key := range m.Remove {
		key = strings.ToLower(key)
		take(wrap("Config.Metadata.Remove", checkKey(key)))
		r.remove = append(r.remove, key)
	}
	r.set, err = lowered("Config.Metadata.Set", m.Set)
	take(err)
	r.add, err = lowered("Config.Metadata.Add", m.Add)
	take(err)
	if len(r.rename)+len(r.remove)+len(r.set) == 0 {
		r.pairs = pairsOf(r.add)
	}
	return r, errors.Join(errs...)
}

func wrap(where string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", where, err)
}

// renames returns Rename in a fixed order.
func renames(m map[string]string) (list [][2]string, err error) {
	const where = "Config.Metadata.Rename"
	seen := make(map[string]bool)
	for _, from := range slices.Sorted(maps.Keys(m)) {
		pair := [2]string{strings.ToLower(from), strings.ToLower(m[from])}
		err = errors.Join(err, wrap(where, checkKey(pair[0])), wrap(where, checkKey(pair[1])))
		if seen[pair[0]] {
			err = errors.Join(err, fmt.Errorf("%s: key %q occurs twice", where, pair[0]))
		}
		if metadatakey.Binary(pair[0]) != metadatakey.Binary(pair[1]) {
			err = errors.Join(err, fmt.Errorf(`%s: key %q becomes %q; want both with the suffix "-bin", or neither`,
				where, pair[0], pair[1]))
		}
		seen[pair[0]] = true
		list = append(list, pair)
	}
	return list, err
}

// lowered returns a copy with keys in lower case.
func lowered(where string, md metadata.MD) (out metadata.MD, err error) {
	out = make(metadata.MD, len(md))
	for _, key := range slices.Sorted(maps.Keys(md)) {
		low, values := strings.ToLower(key), md[key]
		err = errors.Join(err, wrap(where, checkKey(low)), wrap(where, checkValues(low, values)))
		if _, twice := out[low]; twice {
			err = errors.Join(err, fmt.Errorf("%s: key %q occurs twice", where, low))
		}
		out[low] = slices.Clone(values)
	}
	return out, err
}

func pairsOf(md metadata.MD) (pairs []string) {
	for _, key := range slices.Sorted(maps.Keys(md)) {
		for _, v := range md[key] {
			pairs = append(pairs, key, v)
		}
	}
	return pairs
}

// apply returns a context with the changed metadata.
func (r *rewrite) apply(ctx context.Context, side hauberk.Side) context.Context {
	switch {
	case len(r.rename)+len(r.remove)+len(r.set)+len(r.add) == 0:
		return ctx
	case side == hauberk.ServerSide:
		md, _ := metadata.FromIncomingContext(ctx)
		return metadata.NewIncomingContext(ctx, r.change(md))
	case r.pairs != nil:
		return metadata.AppendToOutgoingContext(ctx, r.pairs...)
	default:
		md, _ := metadata.FromOutgoingContext(ctx)
		return metadata.NewOutgoingContext(ctx, r.change(md))
	}
}

// change modifies md, which is a copy that grpc-go has made, and returns it.
func (r *rewrite) change(md metadata.MD) metadata.MD {
	if md == nil {
		md = metadata.MD{}
	}
	moved := make([][]string, len(r.rename))
	for i, pair := range r.rename {
		moved[i] = md[pair[0]]
		delete(md, pair[0])
	}
	for i, pair := range r.rename {
		if len(moved[i]) > 0 {
			md[pair[1]] = append(md[pair[1]], moved[i]...)
		}
	}
	for _, key := range r.remove {
		delete(md, key)
	}
	for key, values := range r.set {
		md[key] = slices.Clone(values)
	}
	for key, values := range r.add {
		md[key] = append(md[key], values...)
	}
	return md
}

// checkKey rejects lower-case keys that applications cannot use: those that HTTP/2 cannot
// carry, and those that are reserved for gRPC and HTTP/2.
func checkKey(key string) error {
	if !metadatakey.Legal(key) {
		return fmt.Errorf(`bad key %q; want letters, digits, "-", "_" and "."`, key)
	}
	if metadatakey.Reserved(key) {
		return fmt.Errorf("key %q is reserved for gRPC and HTTP/2", key)
	}
	return nil
}

// checkValues rejects an empty list, and values that HTTP/2 cannot carry for the key.
func checkValues(key string, values []string) error {
	if len(values) == 0 {
		return fmt.Errorf("key %q has no values; want at least one", key)
	}
	for _, v := range values {
		if !metadatakey.LegalValue(key, v) {
			return fmt.Errorf(`key %q has the value %q; want printable ASCII, or a key that ends in "-bin"`, key, v)
		}
	}
	return nil
}
