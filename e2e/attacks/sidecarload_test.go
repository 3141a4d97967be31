package attacks_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// sleeping is a method whose handler waits for requests.
var sleeping = hauberktest.FullMethod(hauberk.Bidi)

// flood opens streams whose handlers sleep, and returns how many were rejected. It stops when the sidecar
// ends the connection.
func (c *rawConn) flood(t *testing.T, streams int) (rejected int, ended bool) {
	t.Helper()
	results := make(chan int, 1)
	last := uint32(2*streams - 1)
	go func() {
		n := 0
		for {
			frame, err := c.framer.ReadFrame()
			if err != nil {
				break
			}
			if f, ok := frame.(*http2.RSTStreamFrame); ok && f.ErrCode == http2.ErrCodeRefusedStream {
				n++
				if f.StreamID == last {
					break
				}
			}
		}
		results <- n
	}()
	for range streams {
		if _, err := c.begin(sleeping); err != nil {
			ended = true
			break
		}
	}
	return <-results, ended
}

// Of many streams on one connection as many reach the backend as the limit permits, and the others
// are rejected.
func TestX01ManyStreams(t *testing.T) {
	const limit, streams = 200, 20_000
	g := sidecar(t, "", "--max-streams", "200")
	executed := g.attack(t, func() {
		c := g.raw(t)
		if rejected, ended := c.flood(t, streams); !ended && rejected != streams-limit {
			t.Errorf("%d streams were rejected, want %d", rejected, streams-limit)
		}
		_ = c.conn.Close()
	})
	if len(executed) > limit {
		t.Errorf("%d handlers began, want at most %d", len(executed), limit)
	}
	g.wantMet(t, "concurrent_streams")
}

// Idle connections beyond the limit make room for others: a new client is served.
func TestX02IdleConnections(t *testing.T) {
	g := sidecar(t, "", "--max-connections", "300")
	g.attack(t, func() {
		var conns []net.Conn
		for i := range 1000 {
			conn, err := net.Dial("tcp", g.addr)
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
			// A part of the preface, or all of it and nothing else.
			_, _ = conn.Write([]byte(http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00")[:i%34])
		}
		c := g.raw(t)
		c.wantAlive(t)
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
	g.wantMet(t, "connections")
}

// A client that sends a message byte by byte is stopped with DEADLINE_EXCEEDED.
func TestX04SlowWriterAtSidecar(t *testing.T) {
	g := sidecar(t, "", "--message-timeout", "500ms")
	g.attack(t, func() {
		c := g.raw(t)
		stream, err := c.begin(attacked)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		defer close(done)
		go func() {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			data := append([]byte{0, 0, 1, 0, 0}, make([]byte, 1000)...)
			for i := range data {
				select {
				case <-tick.C:
					_ = c.framer.WriteData(stream, false, data[i:i+1])
				case <-done:
					return
				}
			}
		}()
		if how := c.outcome(t, stream); how != "4" {
			t.Errorf("the call ended with %s, want DEADLINE_EXCEEDED", how)
		}
	})
	g.wantMet(t, "message_time")
}

// Large metadata ends one call with RESOURCE_EXHAUSTED; very large metadata the connection.
func TestX06LargeMetadata(t *testing.T) {
	g := sidecar(t, "")
	executed := g.attack(t, func() {
		c := g.raw(t)
		for _, size := range []int{64 << 10, 256 << 10, 700 << 10} {
			if how := c.large(t, 1, size); how != "8" {
				t.Errorf("metadata of %d bytes: %s, want RESOURCE_EXHAUSTED", size, how)
			}
			c.wantAlive(t)
		}
		if how := c.large(t, 10_000, 30); how != "8" {
			t.Errorf("10,000 keys: %s, want RESOURCE_EXHAUSTED", how)
		}
		c.wantAlive(t)
		if how := c.large(t, 16, 1<<20); how == "0" {
			t.Errorf("metadata of 16 MiB: %s", how)
		}
	})
	if len(executed) > 0 {
		t.Errorf("executed %q", executed)
	}
	g.wantMet(t, "header_list")
}

// large makes a call with n keys of a size, in as many frames as necessary.
func (c *rawConn) large(t *testing.T, n, size int) string {
	t.Helper()
	c.header.Reset()
	for _, f := range head() {
		_ = c.enc.WriteField(f)
	}
	value := strings.Repeat("~", size) // a letter with a long code in HPACK
	for i := range n {
		f := field("x-"+strings.Repeat("k", i%50)+"-"+string(rune('a'+i%26)), value)
		f.Sensitive = true
		_ = c.enc.WriteField(f)
	}
	block := c.header.Bytes()
	stream := c.next
	c.next += 2
	part := block[:min(len(block), 1<<14)]
	block = block[len(part):]
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: part, EndStream: true, EndHeaders: len(block) == 0,
	})
	for err == nil && len(block) > 0 {
		part = block[:min(len(block), 1<<14)]
		block = block[len(part):]
		err = c.framer.WriteContinuation(stream, len(block) == 0, part)
	}
	if err != nil {
		return "closed"
	}
	return c.outcome(t, stream)
}

// Without file descriptors the sidecar waits before it accepts again, and serves when there are some
// again. It does not spin meanwhile.
func TestX11FileDescriptors(t *testing.T) {
	g := sidecar(t, "ulimit -n 64;")
	var conns []net.Conn
	for range 200 {
		conn, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		_, _ = conn.Write([]byte(http2.ClientPreface[:5]))
	}
	for range 50 { // the canary has its connection
		if _, err := g.canary.Unary(t.Context(), &testpb.Request{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, conn := range conns {
		_ = conn.Close()
	}
	c := g.raw(t)
	c.wantAlive(t)
	g.wantMet(t, "file_descriptors")
}

// Behind a backend that hangs, calls end at their deadlines, and there are never more of them than the
// limit of streams.
func TestX12HungBackendOfSidecar(t *testing.T) {
	const limit = 100
	g := sidecar(t, "", "--max-streams", "100")
	executed := g.attack(t, func() {
		c := g.raw(t)
		for range 1000 {
			if _, err := c.begin(sleeping, field("grpc-timeout", "300m")); err != nil {
				t.Fatal(err)
			}
		}
		_ = c.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		late, rejected := 0, 0
		for late+rejected < 1000 {
			frame, err := c.framer.ReadFrame()
			if err != nil {
				t.Fatalf("%d calls ended and %d were rejected: %v", late, rejected, err)
			}
			switch f := frame.(type) {
			case *http2.RSTStreamFrame:
				if f.ErrCode == http2.ErrCodeRefusedStream {
					rejected++
				}
			case *http2.MetaHeadersFrame:
				if status := statusIn(f); status == "4" {
					late++
				} else if status != "" {
					t.Fatalf("a call ended with %s", status)
				}
			}
		}
		if late < limit {
			t.Errorf("%d calls reached their deadline, want at least %d", late, limit)
		}
	})
	if len(executed) < limit || len(executed) >= 1000 {
		t.Errorf("%d handlers began", len(executed))
	}
}
