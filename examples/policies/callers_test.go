package policies_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/policy/policytest"
)

// audience is that of the tokens.
const audience = "api.example"

// callers makes credentials of identities: tokens, keys and certificates.
type callers struct {
	signer *ecdsa.PrivateKey
	keys   map[string]string // by subject
	ca     *x509.Certificate
	caKey  *ecdsa.PrivateKey
	own    tls.Certificate // of the server
}

// newCallers returns callers with the identities of the cases.
func newCallers(t *testing.T, cases []policytest.Case) *callers {
	t.Helper()
	c := &callers{signer: newKey(t), caKey: newKey(t), keys: make(map[string]string)}
	template := certificate("ca")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, &c.caKey.PublicKey, c.caKey)
	if err != nil {
		t.Fatal(err)
	}
	if c.ca, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	server := certificate("server")
	server.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	c.own = c.issue(t, server)
	for i := range cases {
		for _, call := range cases[i].AllCalls() {
			if id := call.Identity; id != nil && id.Method == policytest.MethodAPIKey {
				c.keys[keyLine(id)] = ""
			}
		}
	}
	return c
}

// keyLine is what a file of keys has after the hash of an identity's key.
func keyLine(id *hauberk.Identity) string {
	line := id.Subject + " %s"
	if id.Tenant != "" {
		line += " tenant=" + id.Tenant
	}
	if id.Roles != nil {
		line += " roles=" + strings.Join(id.Roles, ",")
	}
	if id.Scopes != nil {
		line += " scopes=" + strings.Join(id.Scopes, ",")
	}
	return line
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func certificate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// issue returns a certificate by the authority.
func (c *callers) issue(t *testing.T, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, c.ca, &key.PublicKey, c.caKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// folder copies the policies and what they name into a folder, with the keys of the callers.
func (c *callers) folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(".")); err != nil {
		t.Fatal(err)
	}
	public := jose.JSONWebKey{Key: &c.signer.PublicKey, KeyID: "1", Algorithm: "ES256"}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}})
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	lines.WriteString("# of the test\n")
	if len(c.keys) == 0 {
		c.keys["unused %s"] = ""
	}
	for line := range c.keys {
		key, hash := authn.NewAPIKey()
		c.keys[line] = key
		fmt.Fprintf(&lines, line+"\n", hash)
	}
	for name, content := range map[string][]byte{"jwks.json": set, "keys.txt": []byte(lines.String())} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// server returns the credentials of a server for the calls of a case.
func (c *callers) server(of *policytest.Case) credentials.TransportCredentials {
	for _, call := range of.AllCalls() {
		if id := call.Identity; id != nil && id.Method == policytest.MethodMTLS {
			return credentials.NewTLS(c.tls())
		}
	}
	return insecure.NewCredentials()
}

// listenTLS returns a listener of connections with TLS.
func (c *callers) listenTLS(lis net.Listener) net.Listener { return tls.NewListener(lis, c.tls()) }

func (c *callers) tls() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(c.ca)
	return &tls.Config{
		Certificates: []tls.Certificate{c.own}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven,
		NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13,
	}
}

// client returns the credentials of a call and the metadata with them.
func (c *callers) client(t *testing.T, call *policytest.Call) (credentials.TransportCredentials, metadata.MD) {
	t.Helper()
	id := call.Identity
	switch {
	case id == nil:
		return insecure.NewCredentials(), metadata.MD{}
	case id.Method == policytest.MethodAPIKey:
		return insecure.NewCredentials(), metadata.Pairs("x-api-key", c.keys[keyLine(id)])
	case id.Method == policytest.MethodMTLS:
		name, err := url.Parse(id.Subject)
		if err != nil {
			t.Fatal(err)
		}
		template := certificate("client")
		template.URIs = []*url.URL{name}
		pool := x509.NewCertPool()
		pool.AddCert(c.ca)
		return credentials.NewTLS(&tls.Config{
			Certificates: []tls.Certificate{c.issue(t, template)}, RootCAs: pool, MinVersion: tls.VersionTLS13,
		}), metadata.MD{}
	case id.Method == policytest.MethodJWT:
		return insecure.NewCredentials(), metadata.Pairs("authorization", "Bearer "+c.token(t, id))
	default:
		t.Fatalf("%s: the identity has no method; want one, since a client needs a credential", call.Method)
		return nil, nil
	}
}

// token returns a token of an identity.
func (c *callers) token(t *testing.T, id *hauberk.Identity) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: c.signer, KeyID: "1"},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{
		"sub": id.Subject, "iss": id.Issuer, "aud": audience, "exp": time.Now().Add(time.Hour).Unix(),
	}
	if id.Tenant != "" {
		claims["tenant"] = id.Tenant
	}
	if id.Roles != nil {
		claims["roles"] = id.Roles
	}
	if id.Scopes != nil {
		claims["scope"] = strings.Join(id.Scopes, " ")
	}
	maps.Copy(claims, id.Claims)
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
