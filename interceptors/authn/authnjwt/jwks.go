package authnjwt

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// maxKeyIDBytes limits a "kid".
const maxKeyIDBytes = 256

// jwksDepth limits the nesting of a JWK Set: the set, its keys, a key, its arrays.
const jwksDepth = 8

// parseKeySet parses a JWK Set (RFC 7517). Keys that are not for signatures, of unknown types or
// too weak are left out, as RFC 7517, 5, says; so are private keys and secrets. A set with keys
// of which none is usable is an error. Keys with the same "kid" are alternatives (4.5).
func parseKeySet(maxKeys int) func([]byte) (*keySet, error) {
	return func(data []byte) (*keySet, error) {
		document, err := parseObject(data, jwksDepth)
		if err != nil {
			return nil, fmt.Errorf("it is not a JWK Set: %w", err)
		}
		list, ok := document["keys"].([]any)
		if !ok {
			return nil, errors.New(`it is not a JWK Set: "keys" is not an array`)
		}
		if len(list) > maxKeys {
			return nil, fmt.Errorf("it has %d keys; want at most %d", len(list), maxKeys)
		}
		set := &keySet{keys: make([]*key, 0, len(list))}
		for i, item := range list {
			k, err := parseKey(item)
			if err != nil {
				set.skipped = append(set.skipped, fmt.Sprintf("key %d: %v", i+1, err))
				continue
			}
			set.keys = append(set.keys, k)
		}
		if len(list) > 0 && len(set.keys) == 0 {
			return nil, fmt.Errorf("none of its %d keys is usable: %s",
				len(list), strings.Join(first(set.skipped, 3), "; "))
		}
		return set, nil
	}
}

// privateMembers are the members of private keys and secrets (RFC 7518, 6).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} //nolint:gochecknoglobals // never written

// publicMembers are those that a public key consists of. Certificates are not looked at.
var publicMembers = []string{"kty", "crv", "x", "y", "n", "e"} //nolint:gochecknoglobals // never written

func parseKey(item any) (*key, error) {
	members, ok := item.(map[string]any)
	if !ok {
		return nil, errors.New("it is not an object")
	}
	for _, name := range privateMembers {
		if _, private := members[name]; private {
			return nil, errPrivate
		}
	}
	id, algorithm, err := keyNames(members)
	if err != nil {
		return nil, err
	}
	public := make(map[string]any, len(publicMembers))
	for _, name := range publicMembers {
		if value, has := members[name]; has {
			public[name] = value
		}
	}
	data, err := json.Marshal(public)
	if err != nil {
		return nil, err
	}
	var parsed jose.JSONWebKey
	if err := parsed.UnmarshalJSON(data); err != nil {
		return nil, err
	}
	return newKey(parsed.Key, &id, algorithm)
}

// keyNames returns the "kid" and the "alg" of a key for signatures.
func keyNames(members map[string]any) (id, algorithm string, err error) {
	use := "sig"
	for name, to := range map[string]*string{"kid": &id, "alg": &algorithm, "use": &use} {
		value, has := members[name]
		if !has {
			continue
		}
		text, ok := value.(string)
		if !ok {
			return "", "", fmt.Errorf("its %s is not a string", name)
		}
		*to = text
	}
	if len(id) > maxKeyIDBytes {
		return "", "", fmt.Errorf("its kid has %d bytes; want at most %d", len(id), maxKeyIDBytes)
	}
	if use != "sig" {
		return "", "", fmt.Errorf("its use is %q; want sig", use)
	}
	if ops, has := members["key_ops"]; has {
		if list, ok := ops.([]any); !ok || !slices.Contains(list, any("verify")) {
			return "", "", errors.New("its key_ops lack verify")
		}
	}
	return id, algorithm, nil
}

func first(list []string, n int) []string { return list[:min(n, len(list))] }
