package authnmtls_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnmtls"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		URIs: []*url.URL{{Scheme: "spiffe", Host: "example.org"}},
	}
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// issue returns a certificate for servers and clients, as a change to the usual one says.
func (a *authority) issue(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "admin.example.org"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(template)
	}
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func dns(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = names }
}

func uris(ids ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		for _, id := range ids {
			u, _ := url.Parse(id)
			c.URIs = append(c.URIs, u)
		}
	}
}

func asCA(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }

func both(changes ...func(*x509.Certificate)) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		for _, change := range changes {
			change(c)
		}
	}
}

// server is a server on a socket of this machine, which records what its handler found.
type server struct {
	address string
	calls   atomic.Int32
	user    atomic.Value          // of the last call
	cause   atomic.Pointer[error] // of the last rejection
}

func serve(t *testing.T, ca *authority, auth tls.ClientAuthType, methods ...authn.Method) *server {
	t.Helper()
	s := new(server)
	watch := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		if err != nil {
			s.cause.Store(&err)
		}
		return err
	})
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, stream hauberktest.Stream) error {
		s.calls.Add(1)
		s.user.Store(authn.User.Or(ctx, ""))
		return hauberktest.Echo(ctx, stream)
	}}
	config := &tls.Config{
		Certificates: []tls.Certificate{ca.issue(t, dns("server.example.org"))},
		ClientAuth:   auth, MinVersion: tls.VersionTLS13,
	}
	if auth >= tls.VerifyClientCertIfGiven {
		config.ClientCAs = ca.pool()
	}
	srv := hauberk.Must(hauberk.New(watch, authn.New(authn.Config{}, methods...))).NewServer(grpc.Creds(credentials.NewTLS(config)))
	testpb.RegisterTestServiceServer(srv, backend)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(srv.Stop)
	s.address = lis.Addr().String()
	return s
}

// why returns the last rejection, or nil.
func (s *server) why() error {
	if cause := s.cause.Load(); cause != nil {
		return *cause
	}
	return nil
}

// call makes a unary call with a client certificate, or without one.
func (s *server) call(t *testing.T, ca *authority, certificates ...tls.Certificate) error {
	t.Helper()
	return s.resume(t, ca, nil, certificates...)
}

// resume makes a call that resumes a session.
func (s *server) resume(t *testing.T, ca *authority, sessions tls.ClientSessionCache, certificates ...tls.Certificate) error {
	t.Helper()
	conn, err := grpc.NewClient(s.address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		ServerName: "server.example.org", RootCAs: ca.pool(), MinVersion: tls.VersionTLS13, ClientSessionCache: sessions,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(certificates) == 0 {
				return new(tls.Certificate), nil
			}
			return &certificates[0], nil // for any authorities that the server names
		},
	})))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err = testpb.NewTestServiceClient(conn).Unary(ctx, &testpb.Request{})
	return err
}

const billing = "spiffe://example.org/billing"

func TestCertificates(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	spiffe := authnmtls.New(authnmtls.Config{TrustDomains: []string{"example.org"}})
	named := authnmtls.New(authnmtls.Config{DNSNames: []string{"Billing.example.org", ".svc.example.org"}})
	for name, test := range map[string]struct {
		method authn.Method
		issuer *authority
		change func(*x509.Certificate)
		user   string // "" if the call is rejected
		cause  error  // nil if the handshake fails
	}{
		"SPIFFE ID":        {spiffe, ca, uris(billing), billing, nil},
		"other domain":     {spiffe, ca, uris("spiffe://example.com/billing"), "", authnmtls.ErrName},
		"domain as suffix": {spiffe, ca, uris("spiffe://bad.example.org/billing"), "", authnmtls.ErrName},
		"two IDs":          {spiffe, ca, uris(billing, "spiffe://example.org/admin"), "", authnmtls.ErrName},
		"another scheme":   {spiffe, ca, uris("https://example.org/billing"), "", authnmtls.ErrName},
		"no URI":           {spiffe, ca, dns("billing.example.org"), "", authnmtls.ErrName},
		"a CA":             {spiffe, ca, both(uris(billing), asCA), "", authnmtls.ErrName},
		"no path":          {spiffe, ca, uris("spiffe://example.org"), "", authnmtls.ErrName},
		"no signatures":    {spiffe, ca, both(uris(billing), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }), "", authnmtls.ErrName},

		"DNS name":              {named, ca, dns("billing.example.org"), "billing.example.org", nil},
		"the second DNS name":   {named, ca, dns("x", "BILLING.example.org"), "billing.example.org", nil},
		"under a domain":        {named, ca, dns("a.b.svc.example.org"), "a.b.svc.example.org", nil},
		"the domain itself":     {named, ca, dns("svc.example.org"), "", authnmtls.ErrName},
		"a name that begins so": {named, ca, dns("billing.example.org.evil.com"), "", authnmtls.ErrName},
		"a name that ends so":   {named, ca, dns("evilbilling.example.org"), "", authnmtls.ErrName},
		"wildcard":              {named, ca, dns("*.svc.example.org"), "", authnmtls.ErrName},
		"a CA with a name":      {named, ca, both(dns("billing.example.org"), asCA), "", authnmtls.ErrName},
		"that signs others": {named, ca, both(dns("billing.example.org"), func(c *x509.Certificate) {
			c.KeyUsage |= x509.KeyUsageCertSign
		}), "", authnmtls.ErrName},
		"common name alone": {named, ca, func(c *x509.Certificate) { c.Subject.CommonName = "billing.example.org" }, "", authnmtls.ErrName},

		"wrong authority": {spiffe, other, uris(billing), "", nil},
		"expired": {spiffe, ca, both(uris(billing), func(c *x509.Certificate) {
			c.NotAfter = time.Now().Add(-time.Minute)
		}), "", nil},
		"not yet": {spiffe, ca, both(uris(billing), func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }), "", nil},
		"for servers only": {spiffe, ca, both(uris(billing), func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}), "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, ca, tls.RequireAndVerifyClientCert, test.method)
			certificate := test.issuer.issue(t, test.change)
			for range 2 { // the second time from memory
				err := s.call(t, ca, certificate)
				switch {
				case test.user != "":
					if err != nil || s.user.Load() != test.user {
						t.Errorf("%v for %v; want OK for %s", err, s.user.Load(), test.user)
					}
				case test.cause == nil:
					if status.Code(err) != codes.Unavailable || s.calls.Load() != 0 {
						t.Errorf("%v, %d calls; want a failed handshake", err, s.calls.Load())
					}
				default:
					cause := s.why()
					if text := hauberk.RejectionOf(cause).Cause.Error(); strings.Contains(text, "token") || strings.Contains(text, "\n") {
						t.Errorf("%q; want one line about certificates", text)
					}
					if st := status.Convert(err); st.Code() != codes.Unauthenticated || st.Message() != "Invalid certificate" ||
						hauberk.Reason(err) != authnmtls.ReasonInvalidCertificate || !errors.Is(cause, test.cause) || s.calls.Load() != 0 {
						t.Errorf("%v, because of %v, %d calls; want %v", err, cause, s.calls.Load(), test.cause)
					}
				}
			}
		})
	}
}

// TestUnverified: what crypto/tls did not verify counts only with a bundle.
func TestUnverified(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	domain := spiffeid.RequireTrustDomainFromString("example.org")
	bundle := x509bundle.FromX509Authorities(domain, []*x509.Certificate{ca.cert})
	plain := authnmtls.Config{TrustDomains: []string{"example.org"}}
	bundled := plain
	bundled.Bundles = bundle
	for name, test := range map[string]struct {
		config authnmtls.Config
		issuer *authority
		admits bool
	}{
		"no bundle":     {plain, ca, false},
		"bundle":        {bundled, ca, true},
		"not in bundle": {bundled, other, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, ca, tls.RequireAnyClientCert, authnmtls.New(test.config))
			err := s.call(t, ca, test.issuer.issue(t, uris(billing)))
			if test.admits {
				if err != nil || s.user.Load() != billing {
					t.Errorf("%v for %v; want OK", err, s.user.Load())
				}
				return
			}
			if cause := s.why(); status.Code(err) != codes.Unauthenticated || !errors.Is(cause, authnmtls.ErrUnverified) || s.calls.Load() != 0 {
				t.Errorf("%v because of %v, %d calls; want %v", err, cause, s.calls.Load(), authnmtls.ErrUnverified)
			}
		})
	}
}

// TestVerifiedElsewhere: what another server verified, or crypto/tls in place of a bundle, does not count,
// also if sessions are resumed.
func TestVerifiedElsewhere(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	bundle := x509bundle.FromX509Authorities(spiffeid.RequireTrustDomainFromString("example.org"), []*x509.Certificate{other.cert})
	for name, config := range map[string]authnmtls.Config{
		"DNS name": {DNSNames: []string{"billing.example.org"}},
		"bundle":   {TrustDomains: []string{"example.org"}, Bundles: bundle},
	} {
		t.Run(name, func(t *testing.T) {
			m := authnmtls.New(config)
			verified, unverified := serve(t, ca, tls.RequireAndVerifyClientCert, m), serve(t, ca, tls.RequireAnyClientCert, m)
			names := dns("billing.example.org")
			if config.Bundles != nil {
				names = uris(billing)
			}
			cert, a, b := ca.issue(t, names), tls.NewLRUClientSessionCache(1), tls.NewLRUClientSessionCache(1)
			for range 3 {
				if err := verified.resume(t, ca, a, cert); err != nil {
					t.Fatal(err)
				}
				err := unverified.resume(t, ca, b, cert)
				if status.Code(err) != codes.Unauthenticated || !errors.Is(unverified.why(), authnmtls.ErrUnverified) || unverified.calls.Load() != 0 {
					t.Fatalf("%v because of %v, %d calls; want %v", err, unverified.why(), unverified.calls.Load(), authnmtls.ErrUnverified)
				}
			}
		})
	}
}

// TestOncePerCertificate: Identity runs once for a certificate, on all its connections.
func TestOncePerCertificate(t *testing.T) {
	ca := newAuthority(t, "ca")
	var ran atomic.Int32
	s := serve(t, ca, tls.RequireAndVerifyClientCert, authnmtls.New(authnmtls.Config{Identity: func(*x509.Certificate) (*authn.Identity, error) {
		ran.Add(1)
		return &authn.Identity{Subject: "a"}, nil
	}}))
	cert := ca.issue(t, nil)
	for range 3 {
		if err := s.call(t, ca, cert); err != nil {
			t.Fatal(err)
		}
	}
	if n := ran.Load(); n != 1 {
		t.Errorf("Identity ran %d times for one certificate; want once", n)
	}
}

// TestIdentityExpires: Identity runs again when the identity has expired or is revoked, and no identity
// outlives its certificate.
func TestIdentityExpires(t *testing.T) {
	for name, test := range map[string]struct {
		life    time.Duration // of the identity; 0: none is set
		revoked bool
		ran     int // within the 24 hours of the certificate
	}{
		"not set":         {0, false, 1},
		"earlier":         {7 * time.Hour, false, 4},
		"later":           {48 * time.Hour, false, 1},
		"revoked":         {0, true, 24},
		"expired, always": {-time.Hour, false, 24},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca, ran := newAuthority(t, "ca"), 0
				var last chan struct{}
				m := authnmtls.New(authnmtls.Config{Identity: func(*x509.Certificate) (*authn.Identity, error) {
					ran++
					last = make(chan struct{})
					id := &authn.Identity{Subject: "a", Revoked: last}
					if test.life != 0 {
						id.Expires = time.Now().Add(test.life)
					}
					return id, nil
				}})
				env := hauberktest.Start(t, hauberktest.Setup{
					Server: hauberk.Must(hauberk.New(authn.New(authn.Config{}, m))),
					ServerOptions: []grpc.ServerOption{grpc.Creds(credentials.NewTLS(&tls.Config{
						Certificates: []tls.Certificate{ca.issue(t, dns("server.example.org"))},
						ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: ca.pool(), MinVersion: tls.VersionTLS13,
					}))},
					DialOptions: []grpc.DialOption{
						grpc.WithIdleTimeout(0), // one connection
						grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
							Certificates: []tls.Certificate{ca.issue(t, nil)},
							ServerName:   "server.example.org", RootCAs: ca.pool(), MinVersion: tls.VersionTLS13,
						})),
					},
				})
				want := codes.OK
				if test.life < 0 {
					want = codes.Unauthenticated
				}
				for hour := range 24 {
					if err := env.Call(t.Context()).Err; status.Code(err) != want {
						t.Errorf("after %d hours: %v; want %v", hour, err, want)
					}
					if test.revoked {
						close(last)
					}
					<-time.After(time.Hour)
				}
				if ran != test.ran {
					t.Errorf("Identity ran %d times; want %d", ran, test.ran)
				}
				if err := env.Call(t.Context()).Err; hauberk.Reason(err) != authn.ReasonTokenExpired {
					t.Errorf("%v after the end of the certificate; want %s", err, authn.ReasonTokenExpired)
				}
			})
		})
	}
}

// TestWithoutCertificate: a connection without a certificate passes to the next method.
func TestWithoutCertificate(t *testing.T) {
	ca := newAuthority(t, "ca")
	own := authnmtls.New(authnmtls.Config{Identity: func(c *x509.Certificate) (*authn.Identity, error) {
		switch {
		case len(c.EmailAddresses) == 0:
			return nil, authn.ErrOtherMethod
		case c.EmailAddresses[0] == "none@example.org":
			return nil, nil
		case c.EmailAddresses[0] == "blocked@example.org":
			return nil, fmt.Errorf("blocked: %w", authn.ErrNoCredential)
		default:
			return &authn.Identity{Subject: c.EmailAddresses[0]}, nil
		}
	}})
	last := fallback{}
	s := serve(t, ca, tls.VerifyClientCertIfGiven, own, last)
	email := func(address string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.EmailAddresses = []string{address} }
	}
	for name, test := range map[string]struct {
		certificates []tls.Certificate
		user         string
		code         codes.Code
	}{
		"none":       {nil, "fallback", codes.OK},
		"not judged": {[]tls.Certificate{ca.issue(t, dns("x"))}, "fallback", codes.OK},
		"email":      {[]tls.Certificate{ca.issue(t, email("a@example.org"))}, "a@example.org", codes.OK},
		"blocked":    {[]tls.Certificate{ca.issue(t, email("blocked@example.org"))}, "", codes.Unauthenticated},
		"nothing":    {[]tls.Certificate{ca.issue(t, email("none@example.org"))}, "", codes.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			s.user.Store("")
			if err := s.call(t, ca, test.certificates...); status.Code(err) != test.code || s.user.Load() != test.user {
				t.Errorf("%v for %q; want %v for %q", err, s.user.Load(), test.code, test.user)
			}
		})
	}
}

// fallback admits every call.
type fallback struct{}

func (fallback) Name() string { return "fallback" }

func (fallback) Authenticate(context.Context, *hauberk.Call) (*authn.Identity, error) {
	return &authn.Identity{Subject: "fallback"}, nil
}

// TestWithoutPeer: a call without a peer, as of a transport within the process, has no certificate.
func TestWithoutPeer(t *testing.T) {
	chain := hauberk.Must(hauberk.New(authn.New(authn.Config{}, authnmtls.New(authnmtls.Config{TrustDomains: []string{"example.org"}}))))
	info := &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Cart/Get"}
	handler := func(context.Context, any) (any, error) { return &testpb.Response{}, nil }
	if _, err := chain.UnaryServerInterceptor()(t.Context(), &testpb.Request{}, info, handler); status.Code(err) != codes.Unauthenticated {
		t.Errorf("%v; want UNAUTHENTICATED", err)
	}
}

func TestErrors(t *testing.T) {
	identity := func(*x509.Certificate) (*authn.Identity, error) { return nil, authn.ErrOtherMethod }
	domain := spiffeid.RequireTrustDomainFromString("example.org")
	for name, test := range map[string]struct {
		config authnmtls.Config
		want   string
	}{
		"nothing":         {authnmtls.Config{}, "Config has none of TrustDomains, DNSNames and Identity"},
		"domain":          {authnmtls.Config{TrustDomains: []string{"Example Org"}}, `Config.TrustDomains has "Example Org"`},
		"ID for a domain": {authnmtls.Config{TrustDomains: []string{"spiffe://example.org/billing"}}, `authnmtls: Config.TrustDomains has "spiffe://example.org/billing"; want a trust domain such as "example.org"`},
		"wildcard":        {authnmtls.Config{DNSNames: []string{"*.example.org"}}, `Config.DNSNames has "*.example.org"; want a name such as`},
		"empty name":      {authnmtls.Config{DNSNames: []string{"."}}, `Config.DNSNames has "."`},
		"both":            {authnmtls.Config{Identity: identity, DNSNames: []string{"a"}}, "which it replaces"},
		"bundles alone":   {authnmtls.Config{DNSNames: []string{"a"}, Bundles: x509bundle.New(domain)}, "Config has Bundles without TrustDomains"},
		"negative number": {authnmtls.Config{DNSNames: []string{"a"}, MaxCertificates: -1}, "Config.MaxCertificates is -1"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := hauberk.New(authn.New(authn.Config{}, authnmtls.New(test.config))); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v; want %q", err, test.want)
			}
		})
	}
	names, custom := authnmtls.New(authnmtls.Config{DNSNames: []string{"a"}}), authnmtls.New(authnmtls.Config{Identity: identity})
	if _, err := hauberk.New(authn.New(authn.Config{}, custom, names)); err != nil {
		t.Error(err)
	}
	if _, err := hauberk.New(authn.New(authn.Config{}, names, custom)); err == nil || !strings.Contains(err.Error(), "method 2, mtls, never runs") {
		t.Errorf("a method after one that judges every certificate: %v", err)
	}
	if err := authnmtls.New(authnmtls.Config{TrustDomains: []string{"example.org", "spiffe://example.com"}}).Err(); err != nil {
		t.Error(err)
	}
	if err := new(authnmtls.Certificates).Err(); err == nil || !strings.Contains(err.Error(), "authnmtls.New") {
		t.Errorf("the zero value: %v", err)
	}
}
