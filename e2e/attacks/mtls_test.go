package attacks_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnmtls"
)

// mtlsServe starts a server that admits workloads of the trust domain example.org, and names under
// svc.example.org. It returns the users of the calls that were admitted, and the rejections.
func mtlsServe(t *testing.T, creds credentials.TransportCredentials) (to *target, users *ledger, causes func() []error) {
	t.Helper()
	var mu sync.Mutex
	var rejections []error
	outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		if err != nil {
			mu.Lock()
			defer mu.Unlock()
			rejections = append(rejections, err)
		}
		return err
	})
	users = new(ledger)
	inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		users.add(authn.User.Or(ctx, "no one"))
		return next(ctx, call)
	})
	certificates := authnmtls.New(authnmtls.Config{
		TrustDomains: []string{"example.org"}, DNSNames: []string{"billing.example.org", ".svc.example.org"},
	})
	to = setup{options: []grpc.ServerOption{grpc.Creds(creds)}}.serve(t, outer, authn.New(authn.Config{}, certificates), inner)
	return to, users, func() []error {
		mu.Lock()
		defer mu.Unlock()
		taken := rejections
		rejections = nil
		return taken
	}
}

// A client certificate that is not good ends in the handshake or with UNAUTHENTICATED, and executes
// nothing, for each kind of call.
func TestT14ClientCertificates(t *testing.T) {
	hauberktest.CheckLeaks(t)
	const id = "spiffe://example.org/billing"
	good := withURI(id)
	issue := func(changes ...func(*x509.Certificate)) *tls.Certificate {
		c := tlsCA().issue(changes...)
		return &c
	}
	selfSigned := newTLSAuthority("self")
	for name, c := range map[string]struct {
		certificate *tls.Certificate
		user        string // of an admitted call
		handshake   string // why the handshake fails
		cause       error  // why a call is rejected
	}{
		"SPIFFE ID":           {certificate: issue(good), user: id},
		"DNS name":            {certificate: issue(withDNS("a.svc.example.org")), user: "a.svc.example.org"},
		"none":                {handshake: "didn't provide a certificate"},
		"expired":             {certificate: issue(good, withTimes(-2*time.Hour, -time.Minute)), handshake: "expired"},
		"not yet valid":       {certificate: issue(good, withTimes(time.Hour, 2*time.Hour)), handshake: "not yet valid"},
		"wrong CA":            {certificate: new(tlsOther().issue(good)), handshake: "unknown authority"},
		"CA of the same name": {certificate: new(newTLSAuthority("ca").issue(good)), handshake: "unknown authority"},
		"self-signed": {
			certificate: &tls.Certificate{Certificate: [][]byte{selfSigned.cert.Raw}, PrivateKey: selfSigned.key}, handshake: "unknown authority",
		},
		"no clientAuth EKU": {
			certificate: issue(good, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
			handshake:   "incompatible key usage",
		},
		"NUL in a DNS name":          {certificate: issue(withRawSAN(2, "billing.example.org\x00.evil.example")), cause: authnmtls.ErrName},
		"NUL before a domain":        {certificate: issue(withRawSAN(2, "evil.example\x00.svc.example.org")), cause: authnmtls.ErrName},
		"NUL in a URI":               {certificate: issue(withRawSAN(6, id+"\x00.evil.example")), handshake: "cannot parse URI"},
		"NUL in the domain of a URI": {certificate: issue(withRawSAN(6, "spiffe://example.org\x00.evil.example/billing")), handshake: "cannot parse URI"},
		"wildcard":                   {certificate: issue(withDNS("*.svc.example.org")), cause: authnmtls.ErrName},
		"wildcard of everything":     {certificate: issue(withDNS("*")), cause: authnmtls.ErrName},
		"wrong SPIFFE domain":        {certificate: issue(withURI("spiffe://example.com/billing")), cause: authnmtls.ErrName},
		"SPIFFE domain as suffix":    {certificate: issue(withURI("spiffe://evil.example.org/billing")), cause: authnmtls.ErrName},
		"SPIFFE domain as prefix":    {certificate: issue(withURI("spiffe://example.org.evil.example/billing")), cause: authnmtls.ErrName},
		"SPIFFE ID without a path":   {certificate: issue(withURI("spiffe://example.org")), cause: authnmtls.ErrName},
		"two SPIFFE IDs":             {certificate: issue(good, withURI("spiffe://example.org/admin")), cause: authnmtls.ErrName},
		"common name alone":          {certificate: issue(), cause: authnmtls.ErrName},
		"CA of workloads": {
			certificate: issue(good, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }), cause: authnmtls.ErrName,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, mode := range []tls.ClientAuthType{tls.RequireAndVerifyClientCert, tls.VerifyClientCertIfGiven} {
				creds := newTLSServer(&tls.Config{
					Certificates: []tls.Certificate{tlsCA().issue(withDNS(serverName))}, ClientAuth: mode, ClientCAs: tlsCA().pool(),
				})
				to, users, causes := mtlsServe(t, creds)
				to = to.over(t, credentials.NewTLS(tlsClient(c.certificate)))
				handshake, cause := c.handshake, c.cause
				if c.certificate == nil && mode == tls.VerifyClientCertIfGiven {
					handshake, cause = "", authn.ErrNoCredential
				}
				for _, kind := range kinds {
					err := to.call(t, hauberktest.FullMethod(kind), kind, "hello")
					executed, by, rejections := to.ledger.take(), users.take(), causes()
					switch {
					case c.user != "":
						if err != nil || !slices.Equal(executed, []string{hauberktest.FullMethod(kind)}) || !slices.Equal(by, []string{c.user}) {
							t.Errorf("%v, %v: %v, executed %q for %q; want OK, once for %q", mode, kind, err, executed, by, c.user)
						}
						continue
					case len(executed)+len(by) > 0:
						t.Errorf("%v, %v: executed %q for %q; want nothing", mode, kind, executed, by)
					}
					if handshake != "" {
						if status.Code(err) != codes.Unavailable || len(rejections) > 0 {
							t.Errorf("%v, %v: %v, rejections %v; want a failed handshake", mode, kind, err, rejections)
						}
						continue
					}
					if status.Code(err) != codes.Unauthenticated || len(rejections) != 1 || !errors.Is(rejections[0], cause) {
						t.Errorf("%v, %v: %v, rejections %v; want %v", mode, kind, err, rejections, cause)
					}
					if message := status.Convert(err).Message(); strings.Contains(message, "example") {
						t.Errorf("%v, %v: the client learns %q", mode, kind, message)
					}
				}
				if handshake != "" {
					if err := creds.failure(t); !strings.Contains(err.Error(), handshake) {
						t.Errorf("%v: the handshake failed with %v; want %q", mode, err, handshake)
					}
				}
			}
		})
	}
}

// A certificate that nothing verified proves nothing, with settings of TLS that let it pass.
func TestT14UnverifiedCertificate(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for _, mode := range []tls.ClientAuthType{tls.RequestClientCert, tls.RequireAnyClientCert} {
		to, users, causes := mtlsServe(t, credentials.NewTLS(&tls.Config{
			Certificates: []tls.Certificate{tlsCA().issue(withDNS(serverName))}, ClientAuth: mode,
		}))
		to = to.over(t, credentials.NewTLS(tlsClient(new(tlsOther().issue(withURI("spiffe://example.org/billing"))))))
		for _, kind := range kinds {
			to.wantCall(t, kind, codes.Unauthenticated, "hello")
			if rejections := causes(); len(rejections) != 1 || !errors.Is(rejections[0], authnmtls.ErrUnverified) {
				t.Errorf("%v, %v: rejections %v; want %v", mode, kind, rejections, authnmtls.ErrUnverified)
			}
		}
		users.wantNothing(t)
	}
}
