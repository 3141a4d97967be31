package policytest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"google.golang.org/grpc/credentials"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
	"github.com/hauberk-rpc/hauberk/policy"
)

// tokenLife is how long a token is valid.
const tokenLife = time.Hour

// signer makes tokens that authn accepts in place of those of the policy's issuers. One goroutine uses it.
type signer struct {
	keys    map[string]any    // private keys and secrets by what they are for
	issuers []authnjwt.Config // of the policy that was loaded last
}

func newSigner() *signer { return &signer{keys: make(map[string]any)} }

// replace replaces the keys of an issuer.
func (s *signer) replace(config authnjwt.Config) (authnjwt.Config, []authnjwt.Option, error) {
	s.issuers = append(s.issuers, config)
	config.JWKSFile, config.JWKSURL, config.SecretFile, config.Discovery = "", "", "", false
	if len(config.Algorithms) == 0 {
		return config, nil, nil // authn reports it
	}
	key, err := s.key(config.Algorithms[0])
	if err != nil {
		return config, nil, err
	}
	if secret, ok := key.([]byte); ok {
		return config, []authnjwt.Option{authnjwt.WithSecrets(secret)}, nil
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return config, nil, fmt.Errorf("a key is a %T", key)
	}
	return config, []authnjwt.Option{authnjwt.WithPublicKeys(signer.Public())}, nil
}

// Sizes of keys.
const (
	rsaBits     = 2048
	secretBytes = 64
)

// key returns the key of an algorithm. It is made once.
func (s *signer) key(algorithm string) (key any, err error) {
	name := algorithm
	switch name[:min(2, len(name))] {
	case "RS", "PS":
		name = "RSA"
	case "HS":
		name = "secret"
	}
	if key, ok := s.keys[name]; ok {
		return key, nil
	}
	switch name {
	case "RSA":
		key, err = rsa.GenerateKey(rand.Reader, rsaBits)
	case "secret":
		secret := make([]byte, secretBytes)
		_, err = rand.Read(secret)
		key = secret
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	default:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		return nil, err
	}
	s.keys[name] = key
	return key, nil
}

// token returns a token of an identity. Without an issuer it is of the first one; a token of an unknown issuer has
// the form of one by the first.
func (s *signer) token(id *hauberk.Identity, now time.Time) (string, error) {
	if len(s.issuers) == 0 {
		return "none", nil // no issuer has signed it
	}
	config := &s.issuers[0]
	for i := range s.issuers {
		if c := &s.issuers[i]; id.Issuer == c.Issuer || slices.Contains(c.IssuerAliases, id.Issuer) {
			config = c
		}
	}
	key, err := s.key(config.Algorithms[0])
	if err != nil {
		return "", err
	}
	opts := (&jose.SignerOptions{}).WithType("JWT")
	if config.Type != "" {
		opts = (&jose.SignerOptions{}).WithType(jose.ContentType(config.Type))
	}
	sign, err := jose.NewSigner(jose.SigningKey{
		Algorithm: jose.SignatureAlgorithm(config.Algorithms[0]), Key: key,
	}, opts)
	if err != nil {
		return "", err
	}
	until := now
	if current := time.Now(); current.After(until) { // which authn compares it with, too
		until = current
	}
	claims := map[string]any{
		"iss": config.Issuer, "iat": now.Unix(), "exp": until.Add(tokenLife).Unix(),
	}
	if id.Issuer != "" {
		claims["iss"] = id.Issuer
	}
	if len(config.Audiences) > 0 {
		setClaim(claims, config.AudienceClaim, "aud", config.Audiences[0])
	}
	setClaim(claims, config.SubjectClaim, "sub", id.Subject)
	if id.Tenant != "" {
		setClaim(claims, config.TenantClaim, "tenant", id.Tenant)
	}
	if id.Roles != nil {
		setClaim(claims, config.RolesClaim, "roles", id.Roles)
	}
	if id.Scopes != nil {
		claims["scope"] = strings.Join(id.Scopes, " ")
	}
	maps.Copy(claims, id.Claims)
	return jwt.Signed(sign).Claims(claims).Serialize()
}

// setClaim sets the claim with a name or a path of names, such as "realm_access.roles". The default of path is name.
func setClaim(claims map[string]any, path, name string, value any) {
	if path == "" {
		path = name
	}
	parts := splitPath(path)
	for _, part := range parts[:len(parts)-1] {
		inner, ok := claims[part].(map[string]any)
		if !ok {
			inner = make(map[string]any)
			claims[part] = inner
		}
		claims = inner
	}
	claims[parts[len(parts)-1]] = value
}

// splitPath splits a path at its dots. A dot within a name is written \., and a backslash \\. A name with a slash, such
// as a URL, is one name.
func splitPath(path string) (parts []string) {
	if strings.Contains(path, "/") {
		return []string{path}
	}
	var part strings.Builder
	for i := 0; i < len(path); i++ {
		switch {
		case path[i] == '\\' && i+1 < len(path):
			i++
			part.WriteByte(path[i])
		case path[i] == '.':
			parts = append(parts, part.String())
			part.Reset()
		default:
			part.WriteByte(path[i])
		}
	}
	return append(parts, part.String())
}

// certificate returns what a connection knows of the client certificate of an identity. Nothing has signed it.
func certificate(id *hauberk.Identity) credentials.TLSInfo {
	leaf := &x509.Certificate{
		Raw:       []byte(id.Subject), // by which authnmtls keeps what it has verified
		NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(tokenLife),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if name, err := url.Parse(id.Subject); err == nil && name.Scheme != "" {
		leaf.URIs = []*url.URL{name}
	} else {
		leaf.DNSNames = []string{id.Subject}
	}
	return credentials.TLSInfo{
		State: tls.ConnectionState{
			HandshakeComplete: true, Version: tls.VersionTLS13,
			PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}},
		},
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
	}
}

type identityKey struct{}

// identityOf returns the identity that is in place of what authn verifies.
func identityOf(ctx context.Context) *hauberk.Identity {
	id, _ := ctx.Value(identityKey{}).(*hauberk.Identity)
	return id
}

// acceptsKeys reports whether authn of a policy accepts API keys.
func acceptsKeys(p *policy.Policy) bool {
	entries := p.Entries()
	for i := range entries {
		e := &entries[i]
		if e.Side != hauberk.ServerSide || e.Use != "authn" || e.Mode == policy.Off {
			continue
		}
		for _, s := range e.Settings {
			if strings.HasPrefix(s.Key, "api_keys.") {
				return true
			}
		}
	}
	return false
}

var errTwoCredentials = errors.New(
	"the case has an identity with a token, and the metadata authorization; want one of them")
