package attacks_test

import (
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// tlsServe starts a server with TLS and the limits for untrusted callers.
func tlsServe(t *testing.T, options ...grpc.ServerOption) (*target, tlsServer) {
	t.Helper()
	creds := newTLSServer(&tls.Config{Certificates: []tls.Certificate{tlsCA().issue(withDNS(serverName))}})
	options = slices.Concat(hauberk.ServerLimits(), []grpc.ServerOption{grpc.Creds(creds)}, options)
	return setup{options: options, creds: credentials.NewTLS(tlsClient(nil))}.serve(t), creds
}

// Old versions of TLS, and connections without the protocol "h2", are closed by the server: a call
// on them is not executed.
func TestT17VersionsAndProtocols(t *testing.T) {
	hauberktest.CheckLeaks(t)
	to, creds := tlsServe(t)
	unary := hauberktest.FullMethod(hauberk.Unary)
	for name, c := range map[string]struct {
		change func(*tls.Config)
		want   string // why the server closes the connection; "" if it does not
	}{
		"TLS 1.3":           {change: func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }},
		"TLS 1.2":           {change: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }},
		"h2 among others":   {change: func(c *tls.Config) { c.NextProtos = []string{"http/1.1", "h2"} }},
		"TLS 1.1":           {func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, "unsupported versions"},
		"TLS 1.0":           {func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 }, "unsupported versions"},
		"no ALPN":           {func(c *tls.Config) { c.NextProtos = nil }, "ALPN"},
		"no ALPN, TLS 1.2":  {func(c *tls.Config) { c.NextProtos, c.MaxVersion = nil, tls.VersionTLS12 }, "ALPN"},
		"another protocol":  {func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }, "ALPN"},
		"a similar one":     {func(c *tls.Config) { c.NextProtos = []string{"H2", "h2c", "h2 "} }, "unsupported application protocols"},
		"255 other of them": {func(c *tls.Config) { c.NextProtos = slices.Repeat([]string{"x"}, 255) }, "unsupported application protocols"},
	} {
		t.Run(name, func(t *testing.T) {
			config := tlsClient(nil)
			c.change(config)
			end := attempt(t, to.addr, config, unary)
			executed := to.ledger.take()
			if c.want == "" {
				if end != ok || !slices.Equal(executed, []string{unary}) {
					t.Errorf("the call ended with %s, executed %q; want it once", end, executed)
				}
				return
			}
			if len(executed) > 0 || end == ok {
				t.Errorf("the call ended with %s, executed %q; want no connection", end, executed)
			}
			if err := creds.failure(t); !strings.Contains(err.Error(), c.want) {
				t.Errorf("the server closed the connection for %v; want %q", err, c.want)
			}
		})
	}
}

// attempt makes a call on a connection with TLS and returns its status, or an error.
func attempt(t *testing.T, addr string, config *tls.Config, path string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, config)
	if err != nil {
		return err.Error()
	}
	raw, err := newRaw(t, conn)
	if err != nil {
		return err.Error()
	}
	stream, err := raw.send(path)
	if err != nil {
		return err.Error()
	}
	results, err := raw.results(1)
	if err != nil {
		return err.Error()
	}
	return results[stream]
}

// canary makes calls on a connection of a good client until the function that it returns is called.
// None may fail.
func (to *target) canary(t *testing.T) (stop func() (calls int)) {
	t.Helper()
	var ended atomic.Bool
	var group sync.WaitGroup
	calls := 0
	client := testpb.NewTestServiceClient(to.conn)
	group.Go(func() {
		for !ended.Load() {
			if _, err := client.Unary(t.Context(), &testpb.Request{}); err != nil {
				t.Errorf("a call of a good client failed: %v", err)
				return
			}
			calls++
		}
	})
	return func() int { ended.Store(true); group.Wait(); return calls }
}

// keyUpdates sends n KeyUpdates in each of three ways. Those without data between them close the
// connection. With data, the connection works, or waits for a client that does not read: good
// clients do not notice it.
func keyUpdates(t *testing.T, to *target, n int) {
	t.Helper()
	unary := hauberktest.FullMethod(hauberk.Unary)
	stop := to.canary(t)
	defer stop()

	alone := dialUpdating(t, to.addr)
	sent := 0
	for ; sent < n && alone.update(false) == nil; sent++ { //nolint:revive // the loop sends
	}
	_ = alone.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.Copy(io.Discard, alone.Conn); err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after %d KeyUpdates: %v; want the connection closed", sent, err)
	}

	conn := dialUpdating(t, to.addr)
	raw, err := newRaw(t, conn)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := errors.Join(conn.update(false), raw.framer.WriteWindowUpdate(0, 1)); err != nil {
			t.Fatalf("KeyUpdate %d with data: %v", i, err)
		}
	}
	own := hauberktest.FullMethod(hauberk.ServerStream) // the canary's calls are unary
	stream, err := raw.send(own)
	if err != nil {
		t.Fatal(err)
	}
	if results, err := raw.results(1); err != nil || results[stream] != ok {
		t.Errorf("after %d KeyUpdates the call ended with %v, %v; want OK", n, results, err)
	}

	deaf := dialUpdating(t, to.addr)
	raw, err = newRaw(t, deaf)
	if err != nil {
		t.Fatal(err)
	}
	_ = deaf.raw.SetWriteDeadline(time.Now().Add(10 * time.Second)) // the server stops to read at some time
	for i := range n {
		if err := errors.Join(deaf.update(true), raw.framer.WriteWindowUpdate(0, 1)); err != nil {
			t.Logf("the server has answered %d KeyUpdates without a reader, and waits: %v", i, err)
			break
		}
	}
	calls := stop()
	executed := make(map[string]int)
	for _, method := range to.ledger.take() {
		executed[method]++
	}
	if want := map[string]int{unary: calls, own: 1}; !maps.Equal(executed, want) {
		t.Errorf("%v were executed; want %v", executed, want)
	}
}

// Floods of KeyUpdate messages harm only their sender.
func TestT17KeyUpdateFlood(t *testing.T) {
	hauberktest.CheckLeaks(t)
	to, _ := tlsServe(t)
	keyUpdates(t, to, 500)
}

// TestSoakT17KeyUpdateFlood is TestT17KeyUpdateFlood with a million messages of each way, for
// the duration in HAUBERK_SOAK at least.
func TestSoakT17KeyUpdateFlood(t *testing.T) {
	end := time.Now().Add(soakTime(t))
	hauberktest.CheckLeaks(t)
	for time.Now().Before(end) {
		to, _ := tlsServe(t)
		keyUpdates(t, to, 1_000_000)
	}
}

// firstFlight returns what a client sends first.
func firstFlight(t *testing.T) []byte {
	t.Helper()
	client, server := net.Pipe()
	go func() { _ = tls.Client(client, tlsClient(nil)).Handshake() }()
	header := make([]byte, 5)
	if _, err := io.ReadFull(server, header); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(header[3])<<8|int(header[4]))
	if _, err := io.ReadFull(server, body); err != nil {
		t.Fatal(err)
	}
	_, _ = client.Close(), server.Close()
	return slices.Concat(header, body)
}

// halfHandshakes opens n connections that stop within the handshake, at four places. Meanwhile new
// connections of good clients work. The server closes all that are not complete.
func halfHandshakes(t *testing.T, n int) {
	t.Helper()
	to, _ := tlsServe(t, grpc.ConnectionTimeout(2*time.Second))
	hello := firstFlight(t)
	conns := make([]net.Conn, n)
	defer func() {
		for _, conn := range conns {
			if conn != nil {
				_ = conn.Close()
			}
		}
	}()
	for i := range conns {
		conn, err := net.Dial("tcp", to.addr)
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = conn
		switch i % 4 {
		case 0: // nothing
		case 1:
			_, err = conn.Write(hello[:len(hello)/2])
		case 2: // all but the client's Finished
			_, err = conn.Write(hello)
		default: // all but the preface of HTTP/2
			secure := tls.Client(conn, tlsClient(nil))
			err, conns[i] = secure.Handshake(), secure
		}
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		if i%50 == 49 {
			if end := attempt(t, to.addr, tlsClient(nil), hauberktest.FullMethod(hauberk.Unary)); end != ok {
				t.Errorf("with %d half handshakes open, a call on a new connection ended with %s", i, end)
			}
		}
	}
	for i, conn := range conns {
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("connection %d is still open", i)
		}
	}
	if executed := to.ledger.take(); len(executed) != n/50 {
		t.Errorf("%d calls were executed; want %d", len(executed), n/50)
	}
}

// Good clients connect and call during many half handshakes, which the server closes.
func TestT17HalfHandshakes(t *testing.T) {
	hauberktest.CheckLeaks(t)
	halfHandshakes(t, 300)
}

// TestSoakT17HalfHandshakes has 9,500 of them at a time, again and again for the duration
// in HAUBERK_SOAK. The process needs 20,000 file descriptors.
func TestSoakT17HalfHandshakes(t *testing.T) {
	end := time.Now().Add(soakTime(t))
	hauberktest.CheckLeaks(t)
	for time.Now().Before(end) {
		halfHandshakes(t, 9_500)
	}
}
