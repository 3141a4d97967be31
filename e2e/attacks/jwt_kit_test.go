package attacks_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

const jwtIssuer = "https://issuer.example"

// The keys of the issuer and of an attacker.
var (
	jwtKey     = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	jwtForger  = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	jwtEdKey   = sync.OnceValue(func() ed25519.PrivateKey { return ed25519.NewKeyFromSeed([]byte(strings.Repeat("e", 32))) })
	jwtBase64  = base64.RawURLEncoding
	jwtDiscard = authnjwt.WithLogger(slog.New(slog.DiscardHandler))
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// jwtObject is a JSON object.
type jwtObject map[string]any

func (o jwtObject) String() string { return string(must(json.Marshal(map[string]any(o)))) }

// with returns a copy with other members; nil removes one.
func (o jwtObject) with(changes jwtObject) jwtObject {
	c := maps.Clone(o)
	for name, value := range changes {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	return c
}

// jwtClaims are those of a good token.
func jwtClaims() jwtObject {
	return jwtObject{"iss": jwtIssuer, "aud": "shop", "sub": "alice", "exp": time.Now().Add(1000 * time.Hour).Unix()}
}

// jwtHeader is that of a good token.
func jwtHeader() jwtObject { return jwtObject{"alg": "RS256", "kid": "1"} }

// jwtToken signs the texts of a header and a payload, whether they are good or not. The type of the
// key is the algorithm: RS256, EdDSA or HS256.
func jwtToken(key any, header, payload string) string {
	input := jwtBase64.EncodeToString([]byte(header)) + "." + jwtBase64.EncodeToString([]byte(payload))
	var signature []byte
	switch k := key.(type) {
	case *rsa.PrivateKey:
		digest := sha256.Sum256([]byte(input))
		signature = must(rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, digest[:]))
	case ed25519.PrivateKey:
		signature = ed25519.Sign(k, []byte(input))
	case []byte:
		mac := hmac.New(sha256.New, k)
		mac.Write([]byte(input))
		signature = mac.Sum(nil)
	}
	return input + "." + jwtBase64.EncodeToString(signature)
}

// jwtGood is a good token.
func jwtGood() string { return jwtToken(jwtKey(), jwtHeader().String(), jwtClaims().String()) }

// jwtJWK is a public RSA key in a JWK Set.
func jwtJWK(key *rsa.PrivateKey, id string) jwtObject {
	return jwtObject{"kty": "RSA", "kid": id, "n": jwtBase64.EncodeToString(key.N.Bytes()), "e": "AQAB"}
}

func jwtKeySet(keys ...jwtObject) string {
	return jwtObject{"keys": append([]jwtObject{}, keys...)}.String()
}

func jwtConfig() authnjwt.Config {
	return authnjwt.Config{Issuer: jwtIssuer, Audiences: []string{"shop"}, Algorithms: []string{"RS256"}}
}

// jwtWorld is a target that authenticates.
type jwtWorld struct {
	*target

	mu     sync.Mutex
	users  []string // the users of calls that were admitted
	causes []string // of rejections, as a log has them
}

// jwtServe starts a server. register may be nil.
func jwtServe(t *testing.T, v *authnjwt.Validator, register func(*hauberk.Server)) *jwtWorld {
	t.Helper()
	w := new(jwtWorld)
	outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		if err != nil {
			w.note(&w.causes, err.Error())
		}
		return err
	})
	inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		w.note(&w.users, authn.User.Or(ctx, "no one"))
		return next(ctx, call)
	})
	t.Cleanup(v.Close) // after the server
	w.target = serve(t, hauberk.Config{}, register, outer, authn.New(authn.Config{}, v), inner)
	return w
}

func (w *jwtWorld) note(list *[]string, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*list = append(*list, what)
}

// executed returns the methods that were executed since the last time and their users.
func (w *jwtWorld) executed() (methods, users []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	users, w.users = w.users, nil
	return w.ledger.take(), users
}

// call makes a call of a kind with values under "authorization", and returns its error.
func (w *jwtWorld) call(t *testing.T, kind hauberk.Kind, values ...string) error {
	t.Helper()
	var pairs []string
	for _, value := range values {
		pairs = append(pairs, "authorization", value)
	}
	return w.target.call(t, hauberktest.FullMethod(kind), kind, "hello", pairs...)
}

// admits makes a call of each kind with a token, which must execute once.
func (w *jwtWorld) admits(t *testing.T, name, token string) {
	t.Helper()
	for _, kind := range kinds {
		err := w.call(t, kind, "Bearer "+token)
		list, users := w.executed()
		if err != nil || !slices.Equal(list, []string{hauberktest.FullMethod(kind)}) || !slices.Equal(users, []string{"alice"}) {
			t.Errorf("%s, %v: %v, executed %q for %q; want OK, once for alice", name, kind, err, list, users)
		}
	}
}

// rejects makes a call of each kind, which must end with a code, learn nothing, and execute
// nothing.
func (w *jwtWorld) rejects(t *testing.T, name string, code codes.Code, values ...string) {
	t.Helper()
	for _, kind := range kinds {
		err := w.call(t, kind, values...)
		message := status.Convert(err).Message()
		if status.Code(err) != code || len(message) > len("Missing or invalid token") {
			t.Errorf("%s, %v: %v; want %v", name, kind, err, code)
		}
		if list, users := w.executed(); len(list) > 0 || len(users) > 0 {
			t.Errorf("%s, %v: %q was executed for %q", name, kind, list, users)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, cause := range w.causes {
		if strings.ContainsAny(cause, "\r\n\x00\x1b") || len(cause) > 1000 {
			t.Errorf("%s: the log would have %.200q", name, cause)
		}
	}
	w.causes = nil
}

// jwtSite is a server of keys with TLS on a socket.
type jwtSite struct {
	*httptest.Server

	mu     sync.Mutex
	hits   int
	handle http.HandlerFunc
}

func newJWTSite(t *testing.T, handle http.HandlerFunc) *jwtSite {
	t.Helper()
	s := &jwtSite{handle: handle}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.hits++
		handle := s.handle
		s.mu.Unlock()
		handle(w, r)
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *jwtSite) set(handle http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handle = handle
}

func (s *jwtSite) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hits
}

// jwtServes answers with a text.
func jwtServes(kind, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, text)
	}
}
