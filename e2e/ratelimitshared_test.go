package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// redisAt starts a redis-server at a port, 0 for a free one, that wants a password.
func redisAt(t *testing.T, port, password string) (p *process, at string) {
	t.Helper()
	if port == "0" {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ = net.SplitHostPort(lis.Addr().String())
		_ = lis.Close()
	}
	p = start(t, nil, "redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(),
		"--save", "", "--requirepass", password)
	p.says(t, `(Ready to accept connections)`)
	return p, port
}

// certificate writes a certificate for 127.0.0.1 that is its own authority, and its key.
func certificate(t *testing.T, dir string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "limits"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	writeFile(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	writeFile(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	return certFile, keyFile
}

// limitsClient connects to a rate limit service with a certificate, which is the authority too.
func limitsClient(t *testing.T, address, certFile, keyFile string) rlsv3.RateLimitServiceClient {
	t.Helper()
	authority, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12,
	})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return rlsv3.NewRateLimitServiceClient(conn)
}

func requestOf(user string) *rlsv3.RateLimitRequest {
	return &rlsv3.RateLimitRequest{Domain: "shop", Descriptors: []*ratelimitv3.RateLimitDescriptor{
		{Entries: []*ratelimitv3.RateLimitDescriptor_Entry{{Key: "user", Value: user}}},
	}}
}

// asked sends requests of a user to all services concurrently and returns how many were within the limit.
func asked(t *testing.T, user string, each int, services ...rlsv3.RateLimitServiceClient) int64 {
	t.Helper()
	var ok atomic.Int64
	var all sync.WaitGroup
	for _, s := range services {
		for range 4 {
			all.Go(func() {
				for range each / 4 {
					answer, err := s.ShouldRateLimit(t.Context(), requestOf(user))
					if err != nil {
						t.Error(err)
					} else if answer.GetOverallCode() == rlsv3.RateLimitResponse_OK {
						ok.Add(1)
					}
				}
			})
		}
	}
	all.Wait()
	return ok.Load()
}

// sharedLimits is a file of limits whose quotas are in a Redis.
func sharedLimits(port, fail string) string {
	return fmt.Sprintf(`
redis:
  addresses: ["127.0.0.1:%s"]
  name: shop
  password_file: password
  fail: %s
  nodes: 2
  timeout: 10s
limits:
  - domain: shop
    descriptors: [{key: user, limit: 100/24h}]
`, port, fail)
}

// Two services share the quotas in a Redis that wants a password, and callers need a certificate. Without
// Redis each of them does as the file says. A reload cannot change where the quotas are.
func TestRateLimitShared(t *testing.T) {
	const password = "a long secret of the redis"
	redis, port := redisAt(t, "0", password)
	certFile, keyFile := certificate(t, t.TempDir())
	node := func(fail string) (*process, string, rlsv3.RateLimitServiceClient) {
		p, address, file := ratelimitServiceIn(t, sharedLimits(port, fail), map[string]string{"password": password + "\n"},
			"--tls-cert", certFile, "--tls-key", keyFile, "--tls-client-ca", certFile)
		return p, file, limitsClient(t, address, certFile, keyFile)
	}
	p, file, local := node("local")
	_, _, closed := node("closed")
	if n := asked(t, "alice", 100, local, closed); n != 100 {
		t.Errorf("%d requests to two services were OK; want 100", n)
	}

	t.Run("plain text", func(t *testing.T) {
		address := p.says(t, `^hauberk: listening on (127\.0\.0\.1:\d+), \d+ limits$`)
		if _, err := dial(t, address).UnaryCall(t.Context(), nil); status.Code(err) != codes.Unavailable {
			t.Errorf("%v; want UNAVAILABLE", err)
		}
	})
	t.Run("reload", func(t *testing.T) {
		writeFile(t, file, sharedLimits("1", "local"))
		p.signal(t, syscall.SIGHUP)
		p.says(t, `^hauberk: .*: (redis has changed); want a restart`)
		writeFile(t, file, sharedLimits(port, "local"))
		p.signal(t, syscall.SIGHUP)
		p.says(t, `^hauberk: (reloaded) `)
	})
	t.Run("no redis", func(t *testing.T) {
		if err := redis.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		redis.wait(t) //nolint:errcheck // killed
		if n := asked(t, "bob", 80, local); n != 50 {
			t.Errorf("%d requests were OK; want 50, the part of one of two nodes", n)
		}
		if _, err := closed.ShouldRateLimit(t.Context(), requestOf("bob")); status.Code(err) != codes.Unavailable {
			t.Errorf("%v; want UNAVAILABLE", err)
		}
	})
}

// What is wrong with the files that a file of limits names is reported at the start.
func TestRateLimitSharedErrors(t *testing.T) {
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "limits.yaml")
	writeFile(t, file, sharedLimits("6379", "local"))
	certFile, _ := certificate(t, dir)
	for want, flags := range map[string][]string{
		`password_file: open .*/password: no such file`: nil,
		`one of --tls-cert and --tls-key is missing`:    {"--tls-cert", certFile},
		`--tls-client-ca needs --tls-cert`:              {"--tls-client-ca", certFile},
	} {
		p := start(t, nil, binary, append([]string{"ratelimit-service", "--config", file, "--listen", "127.0.0.1:0"}, flags...)...)
		p.says(t, `(`+want+`)`)
		if err := p.wait(t); err == nil {
			t.Errorf("%s: exit code 0", want)
		}
	}
}
