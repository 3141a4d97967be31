package gateway_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/gateway"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// files are a certificate for localhost, which is its own authority, and its key.
type files struct{ cert, key string }

func newFiles(t *testing.T) files {
	t.Helper()
	dir := t.TempDir()
	f := files{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}
	f.write(t, 1)
	return f
}

// write replaces the certificate by one with another serial number.
func (f files) write(t *testing.T, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		f.cert: {Type: "CERTIFICATE", Bytes: raw}, f.key: {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (f files) pair(t *testing.T) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func (f files) pool(t *testing.T) *x509.CertPool {
	t.Helper()
	data, err := os.ReadFile(f.cert)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(data)
	return pool
}

// secureBackend serves with TLS, and requires certificates of clients.
func secureBackend(t *testing.T, own, clients files) (address string) {
	t.Helper()
	lis, srv := listen(t), grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{own.pair(t)}, ClientCAs: clients.pool(t),
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	})))
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
	run(t, func() error { return srv.Serve(lis) }, srv.Stop)
	return lis.Addr().String()
}

// The gateway calls an upstream with TLS and its certificate. What is wrong ends calls with
// UNAVAILABLE.
func TestTLSToTheUpstream(t *testing.T) {
	own, clients, other := newFiles(t), newFiles(t), newFiles(t)
	tests := []struct {
		name string
		tls  *gateway.TLS
		want codes.Code
	}{
		{"mutual", &gateway.TLS{CAFile: own.cert, CertFile: clients.cert, KeyFile: clients.key, ServerName: "localhost"}, codes.OK},
		{"version 1.3", &gateway.TLS{
			CAFile: own.cert, CertFile: clients.cert, KeyFile: clients.key, ServerName: "localhost", MinVersion: tls.VersionTLS13,
		}, codes.OK},
		{"the address is not in the certificate", &gateway.TLS{CAFile: own.cert, CertFile: clients.cert, KeyFile: clients.key}, codes.Unavailable},
		{"another authority", &gateway.TLS{CAFile: other.cert, CertFile: clients.cert, KeyFile: clients.key, ServerName: "localhost"}, codes.Unavailable},
		{"authorities of the system", &gateway.TLS{CertFile: clients.cert, KeyFile: clients.key, ServerName: "localhost"}, codes.Unavailable},
		{"no certificate", &gateway.TLS{CAFile: own.cert, ServerName: "localhost"}, codes.Unavailable},
		{"another certificate", &gateway.TLS{CAFile: own.cert, CertFile: other.cert, KeyFile: other.key, ServerName: "localhost"}, codes.Unavailable},
		{"plain text", nil, codes.Unavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, transport gateway.Transport) {
				hauberktest.CheckLeaks(t)
				err := call(t, front(t, gateway.Config{
					Upstream: secureBackend(t, own, clients), Transport: transport, Connections: gateway.Connections{TLS: tt.tls},
				}))
				if status.Code(err) != tt.want {
					t.Errorf("%v, want %s", err, tt.want)
				}
			})
		})
	}
}

// An upstream that does not negotiate h2, or does not use TLS, is not called.
func TestUpstreamsWithoutALPN(t *testing.T) {
	own := newFiles(t)
	for name, protocols := range map[string][]string{"no ALPN": nil, "HTTP/1.1": {"http/1.1"}, "plain text": {}} {
		t.Run(name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, transport gateway.Transport) {
				hauberktest.CheckLeaks(t)
				lis, srv := listen(t), grpc.NewServer()
				address := lis.Addr().String()
				if name != "plain text" {
					lis = tls.NewListener(lis, &tls.Config{
						Certificates: []tls.Certificate{own.pair(t)}, NextProtos: protocols, MinVersion: tls.VersionTLS12,
					})
				}
				testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
				run(t, func() error { return srv.Serve(lis) }, srv.Stop)
				err := call(t, front(t, gateway.Config{Upstream: address, Transport: transport, Connections: gateway.Connections{
					TLS: &gateway.TLS{CAFile: own.cert, ServerName: "localhost"},
				}}))
				if status.Code(err) != codes.Unavailable {
					t.Errorf("%v, want UNAVAILABLE", err)
				}
			})
		})
	}
}

// Clients connect with TLS and must have a certificate. The chain sees it. A new certificate of
// the gateway is used for new connections.
func TestTLSForClients(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport gateway.Transport) {
		hauberktest.CheckLeaks(t)
		own, clients := newFiles(t), newFiles(t)
		serial := make(chan *big.Int, 1)
		chain := hauberk.Must(hauberk.New(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			p, _ := peer.FromContext(ctx)
			info, _ := p.AuthInfo.(credentials.TLSInfo)
			if certs := info.State.PeerCertificates; len(certs) > 0 {
				serial <- certs[0].SerialNumber
			}
			return next(ctx, call)
		})))
		address := front(t, gateway.Config{
			Upstream: serve(t, &hauberktest.Backend{}), Chain: chain, Transport: transport,
			TLS: &gateway.TLS{CertFile: own.cert, KeyFile: own.key, CAFile: clients.cert},
		})
		config := &tls.Config{RootCAs: own.pool(t), ServerName: "localhost", MinVersion: tls.VersionTLS12}
		connect := func() error {
			conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err = testpb.NewTestServiceClient(conn).Unary(ctx, &testpb.Request{})
			return err
		}
		if err := connect(); status.Code(err) != codes.Unavailable {
			t.Errorf("without a certificate: %v", err)
		}
		config.Certificates = []tls.Certificate{clients.pair(t)}
		if err := connect(); err != nil || (<-serial).Int64() != 1 {
			t.Errorf("with a certificate: %v", err)
		}
		own.write(t, 2)
		config.InsecureSkipVerify = true // the test compares the serial number
		config.NextProtos = []string{"h2"}
		until(t, func() bool {
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			client := tls.Client(conn, config)
			return client.HandshakeContext(t.Context()) == nil && client.ConnectionState().PeerCertificates[0].SerialNumber.Int64() == 2
		})
	})
}
