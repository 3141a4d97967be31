package reports_test

import (
	"crypto"
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
	"sync"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

const issuer = "https://issuer.example"

// issuerKey is the key of the issuer, "1" in its set.
var issuerKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// object is a JSON object.
type object map[string]any

func (o object) String() string { return string(must(json.Marshal(o))) }

// with returns a copy with other members; nil removes one.
func (o object) with(changes object) object {
	c := maps.Clone(o)
	for name, value := range changes {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	return c
}

// claims are those of a good token for alice.
func claims() object {
	return object{"iss": issuer, "aud": "shop", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix()}
}

// token signs claims with the issuer's key.
func token(id string, claims object) string {
	text := base64.RawURLEncoding.EncodeToString
	input := text([]byte(object{"alg": "RS256", "kid": id}.String())) + "." + text([]byte(claims.String()))
	digest := sha256.Sum256([]byte(input))
	return input + "." + text(must(rsa.SignPKCS1v15(rand.Reader, issuerKey(), crypto.SHA256, digest[:])))
}

// publicKey is the issuer's key in a JWK Set.
func publicKey() object {
	return object{"kty": "RSA", "kid": "1", "n": base64.RawURLEncoding.EncodeToString(issuerKey().N.Bytes()), "e": "AQAB"}
}

// site is an HTTPS server on a socket.
func site(t *testing.T, handle http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(handle)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// answering answers with a text of a type.
func answering(kind, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, text)
	}
}

// verifying is a server that accepts the tokens of the issuer, whose keys are at s unless config has another source.
func verifying(t *testing.T, s *httptest.Server, config authnjwt.Config, opts ...authnjwt.Option) *server {
	t.Helper()
	if config.Issuer == "" {
		config.Issuer = issuer
	}
	config.Audiences, config.Algorithms = []string{"shop"}, []string{"RS256"}
	if !config.Discovery {
		config.JWKSURL = s.URL
	}
	opts = append(opts, authnjwt.WithHTTPClient(s.Client()), authnjwt.WithLogger(slog.New(slog.DiscardHandler)))
	v := authnjwt.New(config, opts...)
	t.Cleanup(v.Close)
	return setup{server: []hauberk.Interceptor{authn.New(authn.Config{}, v)}}.start(t)
}
