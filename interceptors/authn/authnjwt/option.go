package authnjwt

import (
	"crypto"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Option sets a dependency of a [Validator].
type Option interface{ apply(v *Validator) }

type option func(v *Validator)

func (f option) apply(v *Validator) { f(v) }

// WithKeys uses the public keys of a set, which does not change. "kid", "alg" and "use" of its
// keys count as in a JWK Set that is fetched.
func WithKeys(set jose.JSONWebKeySet) Option {
	return option(func(v *Validator) {
		v.given = append(v.given, "WithKeys")
		for i := range set.Keys {
			k := &set.Keys[i]
			if k.Use != "" && k.Use != "sig" {
				v.failf("WithKeys has the key %q with the use %q; want sig", k.KeyID, k.Use)
				continue
			}
			v.addStatic(k.Key, &k.KeyID, k.Algorithm)
		}
	})
}

// WithPublicKeys uses these keys, for tokens with any "kid": *rsa.PublicKey, *ecdsa.PublicKey and
// ed25519.PublicKey.
func WithPublicKeys(keys ...crypto.PublicKey) Option {
	return option(func(v *Validator) {
		v.given = append(v.given, "WithPublicKeys")
		for _, k := range keys {
			v.addStatic(k, nil, "")
		}
	})
}

// WithSecrets uses these secrets for the HS algorithms, for tokens with any "kid". A secret is
// at least as long as the hash (RFC 7518, 3.2): 32 bytes for HS256. Several allow a change of the
// secret.
func WithSecrets(secrets ...[]byte) Option {
	return option(func(v *Validator) {
		v.given = append(v.given, "WithSecrets")
		for _, s := range secrets {
			k, err := newSecret(s, v.config.Algorithms)
			if err != nil {
				v.failf("WithSecrets: %w", err)
				continue
			}
			v.static = append(v.static, k)
		}
	})
}

// WithRevocations rejects tokens that the list names, also later. Several validators may use
// the same list. It adds to Config.RevocationsFile.
func WithRevocations(list *Revocations) Option {
	return option(func(v *Validator) {
		if list == nil {
			v.failf("WithRevocations was given a nil list")
			return
		}
		v.lists = append(v.lists, list)
	})
}

// WithHTTPClient fetches keys with a client, such as one with a proxy or other trusted CAs. Its
// CheckRedirect is replaced: redirects to another host are never followed. The default is a client of
// the validator with the system's CAs and the proxy of the environment.
func WithHTTPClient(client *http.Client) Option {
	return option(func(v *Validator) {
		v.client = client
		if client == nil {
			v.failf("WithHTTPClient was given a nil client")
		}
	})
}

// WithLogger logs changes of keys at Info, and failures to read or fetch keys and revocations at
// Warn. A token that lacks RolesClaim or TenantClaim is logged at Debug when it is verified, with the
// names of its claims: a wrong name in the settings is seen there. The default is slog.Default. A
// handler that panics is ignored.
func WithLogger(logger *slog.Logger) Option {
	return option(func(v *Validator) {
		v.logger = logger
		if logger == nil {
			v.failf("WithLogger was given a nil logger")
		}
	})
}

// WithClock uses now as the clock of tokens, of the age of keys and of MinInterval, in place of time.Now.
// now must be safe for concurrent use. The timers of refreshes are those of package time. So is the clock
// by which the interceptor of package authn ends streams, and rejects an identity that has expired.
func WithClock(now func() time.Time) Option {
	return option(func(v *Validator) {
		v.now, v.ownClock = now, true
		if now == nil {
			v.failf("WithClock was given a nil function")
		}
	})
}
