package frametransport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
)

// Clients that do not complete the handshake, with and without TLS, neither use more than a limited number of
// connections nor keep others out.
func TestHandshakes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		begin string // what the clients send
		tls   bool
	}{
		{"silent", "", false},
		{"part of the preface", http2.ClientPreface[:5], false},
		{"without settings", http2.ClientPreface, false},
		{"silent, TLS", "", true},
		{"part of a handshake of TLS", "\x16\x03\x01", true},
	} {
		t.Run(tt.name, func(t *testing.T) { handshakes(t, tt.begin, tt.tls) })
	}
}

func handshakes(t *testing.T, begin string, secure bool) {
	t.Helper()
	const most, silent = 8, 500
	config := Config{Handshakes: most, Clients: h2.Config{HandshakeTimeout: 20 * time.Second}}
	limited(t, config, echoFirst, func(t *testing.T, n *network, met func() string) {
		lis := bufconn.Listen(1 << 16)
		own := selfSigned(t)
		n.served.Go(func() {
			_ = n.server.Serve(tls.NewListener(lis, &tls.Config{Certificates: []tls.Certificate{own}, NextProtos: []string{"h2"}}))
		})
		front := n.front
		if secure {
			front = lis
		}
		connect := func() net.Conn {
			conn, err := front.DialContext(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return conn
		}
		client := func() *raw {
			conn := connect()
			if secure {
				conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
			}
			r := newRaw(conn)
			if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
				t.Fatal(err)
			}
			_ = r.WriteSettings()
			return r
		}
		call := func(r *raw, id uint32) {
			_ = r.headers(id, true, request()...)
			if res := r.await(id); res.fields["grpc-status"] == "" {
				t.Errorf("call %d: %+v", id, res)
			}
		}
		before := client()
		call(before, 1)
		var conns []net.Conn
		for range silent {
			conn := connect()
			if _, err := conn.Write([]byte(begin)); err != nil && begin != "" {
				t.Fatal(err)
			}
			synctest.Wait()
			conns = append(conns, conn)
		}
		open := func() (all, beginning int) {
			n.server.mu.Lock()
			defer n.server.mu.Unlock()
			return len(n.server.conns), n.server.beginning.Len()
		}
		if all, beginning := open(); all != most+1 || beginning != most {
			t.Errorf("%d connections are open, %d of them have not begun; want %d and %d", all, beginning, most+1, most)
		}
		if got := strings.Count(met(), "handshakes"); got != silent-most {
			t.Errorf("the limit was met %d times, want %d", got, silent-most)
		}
		call(before, 3)
		after := client()
		call(after, 1)
		pass(20*time.Second + time.Millisecond)
		if all, beginning := open(); all != 2 || beginning != 0 {
			t.Errorf("after the time of the handshake %d connections are open, %d have not begun", all, beginning)
		}
		call(before, 5)
		call(after, 3)
		for _, conn := range append(conns, before.conn, after.conn) {
			_ = conn.Close()
		}
	})
}

// selfSigned returns a certificate that no one verifies.
func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
