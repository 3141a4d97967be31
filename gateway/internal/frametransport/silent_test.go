package frametransport

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// listenTCP accepts connections and calls serve for each on a separate goroutine, with its
// number.
func listenTCP(t *testing.T, serve func(conn net.Conn, n int64)) (address string) {
	t.Helper()
	lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for n := int64(1); ; n++ {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			served.Go(func() { serve(conn, n) })
		}
	})
	t.Cleanup(func() {
		_ = lis.Close()
		served.Wait()
	})
	return lis.Addr().String()
}

// dialTCP returns an upstream at a real address.
func dialTCP(t *testing.T, address string, of transport.Connections) *fleet {
	t.Helper()
	up, err := NewUpstream(address, Config{Connections: of, MessageSize: 1000}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = up.Close() })
	return &fleet{up: up}
}

// An upstream that sends its settings and nothing more is noticed by PING: the calls end with
// UNAVAILABLE, and the next call uses another connection.
func TestSilentUpstream(t *testing.T) {
	address := listenTCP(t, func(conn net.Conn, n int64) {
		defer conn.Close()
		if n > 1 {
			serveRaw(conn, answerOK)
			return
		}
		_ = newRaw(conn).WriteSettings()
		_, _ = io.Copy(io.Discard, conn) // until the gateway closes it
	})
	f := dialTCP(t, address, transport.Connections{PingAfter: 50 * time.Millisecond, PingTimeout: 50 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if code, message := f.call(ctx); code != codes.Unavailable || !strings.Contains(message, "lost") {
		t.Errorf("%s, %s; want UNAVAILABLE since the connection was lost", code, message)
	}
	if code, message := f.call(ctx); code != codes.OK {
		t.Errorf("%s, %s", code, message)
	}
}

// The same if the network between the two loses all packets of a connection from some moment on:
// a proxy that forwards nothing more.
func TestBlackholedConnection(t *testing.T) {
	backend := listenTCP(t, func(conn net.Conn, _ int64) { serveRaw(conn, answerOK) })
	var paused atomic.Bool // of the first connection
	proxy := listenTCP(t, func(conn net.Conn, n int64) {
		defer conn.Close()
		to, err := new(net.Dialer).DialContext(context.Background(), "tcp", backend)
		if err != nil {
			return
		}
		defer to.Close()
		stops := func() bool { return n == 1 && paused.Load() }
		go forward(conn, to, stops)
		forward(to, conn, stops)
	})
	f := dialTCP(t, proxy, transport.Connections{PingAfter: 50 * time.Millisecond, PingTimeout: 50 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i, want := range []codes.Code{codes.OK, codes.Unavailable, codes.OK} {
		paused.Store(i > 0)
		if code, message := f.call(ctx); code != want {
			t.Errorf("call %d: %s, %s; want %s", i, code, message, want)
		}
	}
}

// forward copies until one side is closed. What it reads while stops returns true is lost.
func forward(to io.Writer, from io.Reader, stops func() bool) {
	buf := make([]byte, 1<<12)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if stops() {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// PING is sent after the configured silence: while there are calls, and without calls only if
// PingIdle is set. It is not sent by default.
func TestPings(t *testing.T) {
	tests := []struct {
		name       string
		of         transport.Connections
		idle, busy int64 // pings in 100 s
	}{
		{"default", transport.Connections{}, 0, 0},
		{"calls", transport.Connections{PingAfter: 10 * time.Second}, 0, 3},
		{"idle", transport.Connections{PingAfter: 10 * time.Second, PingIdle: true}, 3, 3},
	}
	for _, tt := range tests {
		inBubble(t, tt.name, func(t *testing.T) {
			f := startFleet(t, "passthrough:///"+first, Config{Connections: tt.of}, first)
			defer f.stop()
			var pings atomic.Int64
			answers := true
			f.set(first, func(b *backend) {
				b.answer = func(r *raw, frame http2.Frame) {
					if p, ok := frame.(*http2.PingFrame); ok {
						pings.Add(1)
						_ = r.WritePing(true, p.Data)
					}
					if answers {
						answerOK(r, frame)
					}
				}
			})
			f.want(t, 1, codes.OK)
			pass(100 * time.Second)
			if n := pings.Swap(0); n < tt.idle || n > 2*tt.idle {
				t.Errorf("%d pings without calls, want %d or a little more", n, tt.idle)
			}
			answers = false
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_, _ = f.call(ctx)
			}()
			pass(100 * time.Second)
			if n := pings.Swap(0); n < tt.busy || n > 2*tt.busy {
				t.Errorf("%d pings with a call, want %d or a little more", n, tt.busy)
			}
			cancel()
			<-ended
		})
	}
}

// An upstream that accepts a connection and does not send its settings fails the attempt.
func TestConnectTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFleet(t, "passthrough:///"+first, Config{Connections: transport.Connections{ConnectTimeout: 3 * time.Second}}, first)
		defer f.stop()
		f.up.dial = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				_, _ = io.Copy(io.Discard, theirs)
				_ = theirs.Close()
			}()
			return ours, nil
		}
		start := time.Now()
		code, message := f.call(t.Context())
		if took := time.Since(start); code != codes.Unavailable || !strings.Contains(message, "settings of HTTP/2 in time") || took != 3*time.Second {
			t.Errorf("%s, %s after %v", code, message, took)
		}
	})
}
