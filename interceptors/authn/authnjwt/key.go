package authnjwt

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/go-jose/go-jose/v4"
)

// family is what the algorithms of one type of key have in common.
type family int

const (
	familyHS family = iota + 1
	familyRSA
	familyES
	familyEd
)

// families are the algorithms that Config.Algorithms may name (RFC 7518, RFC 8037).
var families = map[string]family{ //nolint:gochecknoglobals // a table that is never written
	"HS256": familyHS, "HS384": familyHS, "HS512": familyHS,
	"RS256": familyRSA, "RS384": familyRSA, "RS512": familyRSA,
	"PS256": familyRSA, "PS384": familyRSA, "PS512": familyRSA,
	"ES256": familyES, "ES384": familyES, "ES512": familyES,
	"EdDSA": familyEd,
}

// key verifies signatures. It does not change, except that it goes.
type key struct {
	id        string // the "kid"
	anyID     bool   // it is for tokens with every "kid"
	algorithm string // the only one that it is for; "" for each that fits
	value     any    // as go-jose takes it: *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey, []byte
	print     [sha256.Size]byte

	// gone says that the key is no longer one of the issuer's.
	gone atomic.Bool
}

// Limits of RSA keys in bits. RFC 7518, 3.3, wants 2048 or more; larger ones than the other limit
// make each signature expensive to verify.
const (
	minRSA = 2048
	maxRSA = 8192
)

var (
	errPrivate = errors.New("it is a private or secret key; want a public one")
	errKeyType = errors.New("its type is not supported; want RSA, P-256, P-384, P-521 or Ed25519")
)

// newKey returns a public key, or why it is not good enough. id nil is every "kid".
func newKey(public any, id *string, algorithm string) (*key, error) {
	if err := checkPublic(public); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	k := &key{value: public, algorithm: algorithm, anyID: id == nil, print: sha256.Sum256(der)}
	if id != nil {
		k.id = *id
	}
	if k.algorithm == "Ed25519" { // RFC 9864
		k.algorithm = "EdDSA"
	}
	return k, nil
}

// checkPublic wants a public key of a type and size that RFC 7518 and RFC 8037 allow.
func checkPublic(public any) error {
	switch p := public.(type) {
	case *rsa.PublicKey:
		if p == nil || p.N == nil {
			return errKeyType
		}
		if bits := p.N.BitLen(); bits < minRSA || bits > maxRSA {
			return fmt.Errorf("it is an RSA key of %d bits; want %d to %d", bits, minRSA, maxRSA)
		}
	case *ecdsa.PublicKey:
		if p == nil || curves(p.Curve) == "" {
			return errKeyType
		}
		if _, err := p.ECDH(); err != nil {
			return fmt.Errorf("it is not a point of its curve: %w", err)
		}
	case ed25519.PublicKey:
		if len(p) != ed25519.PublicKeySize {
			return errKeyType
		}
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey, []byte:
		return errPrivate
	default:
		return errKeyType
	}
	return nil
}

// curves returns the algorithm of a curve, "" for others than those of RFC 7518.
func curves(c elliptic.Curve) string {
	switch c {
	case elliptic.P256():
		return "ES256"
	case elliptic.P384():
		return "ES384"
	case elliptic.P521():
		return "ES512"
	default:
		return ""
	}
}

// newSecret returns the key of a secret that is long enough for each of the algorithms.
func newSecret(secret []byte, algorithms []string) (*key, error) {
	for _, a := range algorithms {
		if least := secretBytes(a); len(secret) < least {
			return nil, fmt.Errorf("the secret has %d bytes; want at least %d for %s", len(secret), least, a)
		}
	}
	return &key{value: bytes.Clone(secret), anyID: true, print: sha256.Sum256(secret)}, nil
}

// secretBytes is the least size of a secret, that of the hash (RFC 7518, 3.2).
func secretBytes(algorithm string) int {
	switch algorithm {
	case "HS256":
		return 32
	case "HS384":
		return 48
	case "HS512":
		return 64
	default:
		return 1
	}
}

// parseSecret parses a Config.SecretFile.
func parseSecret(algorithms []string) func([]byte) (*keySet, error) {
	return func(data []byte) (*keySet, error) {
		k, err := newSecret(bytes.TrimSpace(data), algorithms)
		if err != nil {
			return nil, err
		}
		return &keySet{keys: []*key{k}}, nil
	}
}

// fits reports whether the key verifies signatures with an algorithm. The type of the key
// decides: an RSA key never verifies HS256, and a secret nothing else.
func (k *key) fits(algorithm string) bool {
	if k.algorithm != "" && k.algorithm != algorithm {
		return false
	}
	switch v := k.value.(type) {
	case []byte:
		return families[algorithm] == familyHS
	case *rsa.PublicKey:
		return families[algorithm] == familyRSA
	case *ecdsa.PublicKey:
		return curves(v.Curve) == algorithm
	case ed25519.PublicKey:
		return families[algorithm] == familyEd
	default:
		return false
	}
}

// kind says what a key is, for errors.
func (k *key) kind() string {
	kind := "a secret"
	switch v := k.value.(type) {
	case *rsa.PublicKey:
		kind = "RSA"
	case *ecdsa.PublicKey:
		kind = fmt.Sprintf("EC %s for %s", v.Curve.Params().Name, curves(v.Curve))
	case ed25519.PublicKey:
		kind = "Ed25519 for EdDSA"
	}
	if k.algorithm != "" {
		kind += ", with the alg " + quoted(k.algorithm)
	}
	return kind
}

// same reports whether two keys accept the same tokens.
func (k *key) same(o *key) bool {
	return k.print == o.print && k.id == o.id && k.anyID == o.anyID && k.algorithm == o.algorithm
}

// keySet holds the keys of an issuer at a time. It does not change.
type keySet struct {
	keys    []*key
	skipped []string // why keys of the document are not among them
}

// maxCandidates limits how many keys are tried for one token.
const maxCandidates = 16

// candidates returns the keys for a token: those with its "kid", or all of a token without one,
// that fit its algorithm.
func (s *keySet) candidates(h *head) (keys []*key) {
	for _, k := range s.keys {
		if (k.anyID || !h.hasID || k.id == h.keyID) && k.fits(h.algorithm) {
			keys = append(keys, k)
		}
	}
	return keys
}

// verify returns the key that signed a token, and what it signed.
func (s *keySet) verify(token string, h *head) (*key, []byte, error) {
	keys := s.candidates(h)
	switch {
	case len(keys) == 0:
		return nil, nil, invalid(ErrUnknownKey, "kid %s, alg %s", quoted(h.keyID), h.algorithm)
	case len(keys) > maxCandidates:
		return nil, nil, invalid(ErrUnknownKey, "%d keys fit; want a kid that at most %d have",
			len(keys), maxCandidates)
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(h.algorithm)})
	if err != nil {
		return nil, nil, invalid(ErrHeader, "go-jose rejects it") // its errors quote the token
	}
	for _, k := range keys {
		if payload, err := jws.Verify(k.value); err == nil {
			return k, payload, nil
		}
	}
	return nil, nil, invalid(ErrSignature, "%d keys were tried for kid %s", len(keys), quoted(h.keyID))
}

// replace returns a set whose keys are those of the current one as far as they are the same, and
// the keys that are gone. A key that a document lists twice is one key.
func (s *keySet) replace(current *keySet) (next *keySet, gone []*key) {
	next = &keySet{keys: make([]*key, 0, len(s.keys)), skipped: s.skipped}
	var before []*key
	if current != nil {
		before = current.keys
	}
	for _, k := range s.keys {
		if slices.ContainsFunc(next.keys, k.same) {
			continue
		}
		if i := slices.IndexFunc(before, k.same); i >= 0 {
			k = before[i]
		}
		next.keys = append(next.keys, k)
	}
	for _, old := range before {
		if !slices.Contains(next.keys, old) {
			gone = append(gone, old)
		}
	}
	return next, gone
}
