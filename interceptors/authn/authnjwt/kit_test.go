package authnjwt_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

const issuer = "https://issuer.example"

// Keys of the tests, each made once.
var (
	rsaKey   = sync.OnceValue(func() *rsa.PrivateKey { return made(rsa.GenerateKey(rand.Reader, 2048)) })
	p256     = sync.OnceValue(func() *ecdsa.PrivateKey { return made(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	p384     = sync.OnceValue(func() *ecdsa.PrivateKey { return made(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	p521     = sync.OnceValue(func() *ecdsa.PrivateKey { return made(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)) })
	edKey    = sync.OnceValue(newEd)
	edKey2   = sync.OnceValue(newEd)
	hsSecret = []byte(strings.Repeat("a secret of 64 bytes is enough: ", 2))
)

func newEd() ed25519.PrivateKey {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return made(private, err)
}

func made[T any](key T, err error) T {
	if err != nil {
		panic(err)
	}
	return key
}

// signed makes a token from the texts of its header and payload, valid or not.
func signed(algorithm string, key any, header, payload string) string {
	input := encoded(header) + "." + encoded(payload)
	return input + "." + base64.RawURLEncoding.EncodeToString(signature(algorithm, key, input))
}

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func signature(algorithm string, key any, input string) []byte {
	if algorithm == "EdDSA" {
		return ed25519.Sign(key.(ed25519.PrivateKey), []byte(input))
	}
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[algorithm[2:]]
	if algorithm[:2] == "HS" {
		mac := hmac.New(hash.New, key.([]byte))
		mac.Write([]byte(input))
		return mac.Sum(nil)
	}
	h := hash.New()
	h.Write([]byte(input))
	digest := h.Sum(nil)
	switch algorithm[:2] {
	case "RS":
		return made(rsa.SignPKCS1v15(rand.Reader, key.(*rsa.PrivateKey), hash, digest))
	case "PS":
		return made(rsa.SignPSS(rand.Reader, key.(*rsa.PrivateKey), hash, digest, nil))
	default:
		k := key.(*ecdsa.PrivateKey)
		r, s, err := ecdsa.Sign(rand.Reader, k, digest)
		size := (k.Curve.Params().BitSize + 7) / 8
		return append(made(r, err).FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
}

// object is a JSON object.
type object map[string]any

func (o object) String() string {
	data, err := json.Marshal(map[string]any(o))
	return string(made(data, err))
}

// with returns a copy with other members; nil removes one.
func (o object) with(changes object) object {
	c := maps.Clone(o)
	for name, value := range changes {
		if value == nil {
			delete(c, name)
		} else {
			c[name] = value
		}
	}
	return c
}

// claims are those of a good token at a time.
func claims(now time.Time) object {
	return object{
		"iss": issuer, "sub": "alice", "aud": "shop", "jti": "42",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
}

// token is one by the Ed25519 key with the "kid" ed.
func token(c object) string {
	return signed("EdDSA", edKey(), object{"alg": "EdDSA", "kid": "ed"}.String(), c.String())
}

// config is a complete one for tokens of [token].
func config() authnjwt.Config {
	return authnjwt.Config{Issuer: issuer, Audiences: []string{"shop"}, Algorithms: []string{"EdDSA"}}
}

func edKeys() authnjwt.Option {
	return authnjwt.WithKeys(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: edKey().Public(), KeyID: "ed"}}})
}

var silent = authnjwt.WithLogger(slog.New(slog.DiscardHandler))

// validator returns one that is closed when the test ends.
func validator(t testing.TB, c authnjwt.Config, options ...authnjwt.Option) *authnjwt.Validator {
	t.Helper()
	v := authnjwt.New(c, append([]authnjwt.Option{silent}, options...)...)
	if err := v.Err(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// accepts fails the test unless the token is valid.
func accepts(t testing.TB, v *authnjwt.Validator, token string) *authn.Identity {
	t.Helper()
	id, err := v.Validate(t.Context(), token)
	if err != nil {
		t.Fatalf("the token is rejected: %v", err)
	}
	return id
}

// rejects fails the test unless the token is rejected for these reasons, and the error does
// not quote the token.
func rejects(t testing.TB, v *authnjwt.Validator, token string, want ...error) {
	t.Helper()
	id, err := v.Validate(t.Context(), token)
	if err == nil {
		t.Fatalf("the token of %v is accepted", id)
	}
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Errorf("%v; want %v", err, w)
		}
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 8 && strings.Contains(err.Error(), part) {
			t.Errorf("the error %v has a part of the token", err)
		}
	}
	if strings.ContainsAny(err.Error(), "\r\n\x00") {
		t.Errorf("the error %q is not one line", err)
	}
}

// jwk is a public key in a JWK Set.
func jwk(public crypto.PublicKey, changes object) object {
	data, err := jose.JSONWebKey{Key: public}.MarshalJSON()
	var members map[string]any
	if err := json.Unmarshal(made(data, err), &members); err != nil {
		panic(err)
	}
	return object(members).with(changes)
}

// jwks is the text of a JWK Set.
func jwks(keys ...object) string { return object{"keys": append([]object{}, keys...)}.String() }

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

var kinds = []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}

func server(kind hauberk.Kind) hauberktest.Case {
	return hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}
}

// bearer is the context of a client's call with a token.
func bearer(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}
