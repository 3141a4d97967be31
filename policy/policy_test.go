package policy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/policy"
)

// files are the files that the policies of the tests name.
var files = sync.OnceValues(func() (map[string][]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	signer, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	public := jose.JSONWebKey{Key: &signer.PublicKey, KeyID: "1", Algorithm: "RS256"}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}})
	if err != nil {
		return nil, err
	}
	_, hash := authn.NewAPIKey()
	return map[string][]byte{
		"tls.crt":   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"tls.key":   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		"jwks.json": set,
		"secret":    []byte("hunter2-of-the-file\n"),
		"keys.txt":  []byte("billing " + hash + "\n"),
	}, nil
})

// folder writes the files into a folder, which it returns.
func folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	all, err := files()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range all {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// load parses a file of testdata in the folder of the other files.
func load(t testing.TB, name string, opts ...policy.Option) *policy.Policy {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(data), opts...)
}

func parse(t testing.TB, text string, opts ...policy.Option) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("policy.yaml", []byte(text), append([]policy.Option{policy.WithDir(folder(t))}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// The example of the design is valid as it is.
func TestDesign(t *testing.T) {
	p := load(t, "design.yaml")
	if got := len(p.Entries()); got != 11 {
		t.Errorf("%d entries", got)
	}
	for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
		chain := p.Server()
		if side == hauberk.ClientSide {
			chain = p.Client()
		}
		if found := chain.Lint(side); len(found) > 0 {
			t.Errorf("%s: %v", side, found)
		}
	}
	if g := p.Gateway(); g == nil || g.Upstream != "dns:///localhost:50051" || g.TLS.CertFile == "tls.crt" {
		t.Errorf("%+v", g)
	}
}

// Every interceptor can be used, with its settings.
func TestEverything(t *testing.T) {
	p := load(t, "everything.yaml", policy.WithEnv(env), policy.CheckOnly())
	for _, e := range p.Entries() {
		if (e.Interceptor == nil) != (e.Mode == policy.Off) {
			t.Errorf("line %d: the interceptor is %v in the mode %s", e.Line, e.Interceptor, e.Mode)
		}
	}
}
