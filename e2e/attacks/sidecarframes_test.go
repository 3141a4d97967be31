package attacks_test

import (
	"encoding/binary"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// attacked is the method of attacks. The canary calls another one.
var attacked = hauberktest.FullMethod(hauberk.ServerStream)

// read discards what the sidecar sends, until the connection ends.
func (c *rawConn) read() (ended chan string) {
	ended = make(chan string, 1)
	go func() { ended <- c.end() }()
	return ended
}

// HEADERS and RST_STREAM without end, on one connection and on 20: each connection is closed with
// ENHANCE_YOUR_CALM, and there are never more handlers than a connection may have streams.
func TestP02RapidReset(t *testing.T) {
	g := sidecar(t, "", "--max-reset-rate", "500")
	g.attack(t, func() {
		for _, conns := range []int{1, 20} {
			var all sync.WaitGroup
			for range conns {
				c := g.raw(t)
				all.Go(func() {
					ended := c.read()
					for range 40_000 / conns {
						stream, err := c.begin(attacked)
						if err != nil || c.framer.WriteRSTStream(stream, http2.ErrCodeCancel) != nil {
							break
						}
					}
					_ = c.conn.SetReadDeadline(time.Now().Add(time.Second))
					if how := <-ended; conns == 1 && !strings.Contains(how, "ENHANCE_YOUR_CALM") && how != "closed" {
						t.Errorf("a connection with 40,000 resets is %s", how)
					}
					_ = c.conn.Close()
				})
			}
			all.Wait()
		}
	})
	g.wantMet(t, "resets")
}

// HEADERS without END_HEADERS, then CONTINUATION without end: the connection is closed.
func TestP04ContinuationFlood(t *testing.T) {
	g := sidecar(t, "")
	executed := g.attack(t, func() {
		c := g.raw(t)
		ended := c.read()
		if err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}}); err != nil {
			t.Fatal(err)
		}
		c.header.Reset()
		part := hpack.HeaderField{Name: "x-flood", Value: strings.Repeat("v", 8000)}
		for range 20_000 {
			c.header.Reset()
			_ = c.enc.WriteField(part)
			if c.framer.WriteContinuation(1, false, c.header.Bytes()) != nil {
				break
			}
		}
		if how := <-ended; how == "open" {
			t.Error("the connection is open")
		}
	})
	if len(executed) > 0 {
		t.Errorf("executed %q", executed)
	}
}

// One entry of 4 KiB in the table of HPACK and 10,000 references to it: the call ends at the limit
// of header lists, and the connection goes on.
func TestP05HeaderBomb(t *testing.T) {
	g := sidecar(t, "")
	executed := g.attack(t, func() {
		c := g.raw(t)
		bomb := hpack.HeaderField{Name: "x-bomb", Value: strings.Repeat("b", 4000)}
		fields := make([]hpack.HeaderField, 10_000)
		for i := range fields {
			fields[i] = bomb
		}
		stream, err := c.send(attacked, fields...)
		if err != nil {
			t.Fatal(err)
		}
		if ended, err := c.results(1); err != nil || ended[stream] != "8" {
			t.Errorf("the call ended with %v, %v", ended, err)
		}
		c.wantAlive(t)
	})
	if len(executed) > 0 {
		t.Errorf("executed %q", executed)
	}
	g.wantMet(t, "header_list")
}

// Floods of PING and SETTINGS by a client that does not read the answers end its connection.
func TestP06Floods(t *testing.T) {
	for limit, write := range map[string]func(c *rawConn) error{
		"pings":    func(c *rawConn) error { return c.framer.WritePing(false, [8]byte{}) },
		"settings": func(c *rawConn) error { return c.framer.WriteSettings() },
		"empty_frames": func(c *rawConn) error {
			return c.framer.WritePriority(1, http2.PriorityParam{Weight: 7})
		},
	} {
		t.Run(limit, func(t *testing.T) {
			g := sidecar(t, "")
			g.attack(t, func() {
				c := g.raw(t)
				n := 0
				for n < 1_000_000 && write(c) == nil {
					n++
				}
				if n == 1_000_000 {
					t.Errorf("%d frames were accepted", n)
				}
			})
			g.wantMet(t, limit)
		})
	}
}

// Unknown frames and flags are ignored; wrong lengths end the connection.
func TestP09UnknownFrames(t *testing.T) {
	g := sidecar(t, "")
	executed := g.attack(t, func() {
		c := g.raw(t)
		for kind := http2.FrameType(0x0a); kind <= 0x0f; kind++ {
			for _, flags := range []http2.Flags{0, 0xff} {
				for _, stream := range []uint32{0, 1, 2, 1<<31 - 1} {
					if err := c.framer.WriteRawFrame(kind, flags, stream, []byte("any content")); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if err := c.framer.WriteRawFrame(http2.FramePing, 0xfe, 0, make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
		c.wantAlive(t)
		for name, frame := range map[string]func(c *rawConn){
			"PING of 7 bytes":             func(c *rawConn) { _ = c.framer.WriteRawFrame(http2.FramePing, 0, 0, make([]byte, 7)) },
			"SETTINGS of 5 bytes":         func(c *rawConn) { _ = c.framer.WriteRawFrame(http2.FrameSettings, 0, 0, make([]byte, 5)) },
			"an acknowledgement with 6":   func(c *rawConn) { _ = c.framer.WriteRawFrame(http2.FrameSettings, 1, 0, make([]byte, 6)) },
			"RST_STREAM of 3 bytes":       func(c *rawConn) { _ = c.framer.WriteRawFrame(http2.FrameRSTStream, 0, 1, make([]byte, 3)) },
			"WINDOW_UPDATE of 5 bytes":    func(c *rawConn) { _ = c.framer.WriteRawFrame(http2.FrameWindowUpdate, 0, 0, make([]byte, 5)) },
			"PRIORITY of 4 bytes":         func(c *rawConn) { _ = c.framer.WriteRawFrame(http2.FramePriority, 0, 1, make([]byte, 4)) },
			"GOAWAY of 7 bytes":           func(c *rawConn) { _ = c.framer.WriteRawFrame(http2.FrameGoAway, 0, 0, make([]byte, 7)) },
			"DATA of stream 0":            func(c *rawConn) { _ = c.framer.WriteRawFrame(http2.FrameData, 0, 0, make([]byte, 7)) },
			"HEADERS with padding beyond": func(c *rawConn) { _ = c.framer.WriteRawFrame(http2.FrameHeaders, 0x0c, 1, []byte{200, 1}) },
			"a frame of 16 MiB": func(c *rawConn) {
				head := binary.BigEndian.AppendUint32(nil, 1<<24-1)
				_, _ = c.conn.Write(append(head[1:], 0, 0, 0, 0, 0, 1))
			},
		} {
			bad := g.raw(t)
			frame(bad)
			// An error of PRIORITY and of padding may end only the stream.
			if how := bad.endSoon(); how == "open" && !strings.HasPrefix(name, "PRIORITY") && !strings.Contains(name, "padding") {
				t.Errorf("after %s the connection is open", name)
			}
		}
	})
	if len(executed) > 0 {
		t.Errorf("executed %q", executed)
	}
}

// endSoon is end, but waits for a second only.
func (c *rawConn) endSoon() string {
	_ = c.conn.SetReadDeadline(time.Now().Add(time.Second))
	return c.end()
}
