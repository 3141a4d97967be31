package gateway_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/gateway"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// certificate returns a certificate for localhost that is its own authority.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, pool
}

// Frames are forwarded from a listener with TLS. The chain sees the peer's TLS. A client that
// does not negotiate h2 is rejected.
func TestFramesBehindTLS(t *testing.T) {
	hauberktest.CheckLeaks(t)
	cert, pool := certificate(t)
	secure := make(chan bool, 1)
	chain := hauberk.Must(hauberk.New(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		p, _ := peer.FromContext(ctx)
		_, ok := p.AuthInfo.(credentials.TLSInfo)
		secure <- ok
		return next(ctx, call)
	})))
	g, err := gateway.New(gateway.Config{
		Upstream: serve(t, &hauberktest.Backend{}), Chain: chain,
	})
	if err != nil {
		t.Fatal(err)
	}
	lis := listen(t)
	run(t, func() error {
		return g.Serve(tls.NewListener(lis, &tls.Config{
			Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12,
		}))
	}, g.Stop)
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12,
	})))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	resp, err := testpb.NewTestServiceClient(conn).Unary(t.Context(), &testpb.Request{Text: "x"})
	if err != nil || resp.GetText() != "echo:x" || !<-secure {
		t.Errorf("%v, %v", resp, err)
	}
	for name, protocols := range map[string][]string{"no ALPN": nil, "HTTP/1.1": {"http/1.1"}} {
		other, err := new(net.Dialer).DialContext(t.Context(), "tcp", lis.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		client := tls.Client(other, &tls.Config{
			RootCAs: pool, ServerName: "localhost", NextProtos: protocols, MinVersion: tls.VersionTLS12,
		})
		if _, err := client.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: the gateway answers", name)
		}
		_ = client.Close()
	}
}
