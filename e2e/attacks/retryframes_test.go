package attacks_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// frameServer is a server on 127.0.0.1 that answers with frames of any content.
type frameServer struct {
	// begun and whole run when the headers of a call have arrived, and when its request has. One
	// goroutine for each connection calls them.
	begun, whole func(c *frameConn, stream uint32, id string)

	mu    sync.Mutex
	conns []net.Conn
}

// frameConn is a connection of a frameServer.
type frameConn struct {
	*http2.Framer

	conn   net.Conn
	header bytes.Buffer
	enc    *hpack.Encoder
	ids    map[uint32]string
	last   uint32 // the last stream of a GOAWAY that was sent; 0 without one
}

func (s *frameServer) start(t *testing.T) *grpc.ClientConn {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			serving.Go(func() { s.serve(conn) })
		}
	})
	client, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.Close()
		_ = lis.Close()
		s.mu.Lock()
		for _, conn := range s.conns {
			_ = conn.Close()
		}
		s.mu.Unlock()
		serving.Wait()
	})
	return client
}

// serve reads a connection until it is closed.
func (s *frameServer) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	c := &frameConn{Framer: http2.NewFramer(conn, conn), conn: conn, ids: make(map[uint32]string)}
	c.enc = hpack.NewEncoder(&c.header)
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	err := c.WriteSettings()
	for err == nil {
		var frame http2.Frame
		if frame, err = c.ReadFrame(); err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = c.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				err = c.WritePing(true, f.Data)
			}
		case *http2.MetaHeadersFrame:
			s.began(c, f)
		case *http2.DataFrame:
			if n := f.Length; n > 0 {
				err = c.WriteWindowUpdate(0, n)
			}
			s.received(c, f)
		}
	}
}

func (s *frameServer) began(c *frameConn, f *http2.MetaHeadersFrame) {
	if c.last > 0 && f.StreamID > c.last {
		return // RFC 9113, 6.8: it is ignored, and was not processed
	}
	for _, field := range f.Fields {
		if field.Name == callID {
			c.ids[f.StreamID] = field.Value
		}
	}
	if s.begun != nil {
		s.begun(c, f.StreamID, c.ids[f.StreamID])
	}
}

func (s *frameServer) received(c *frameConn, f *http2.DataFrame) {
	if id, ok := c.ids[f.StreamID]; ok && f.StreamEnded() {
		delete(c.ids, f.StreamID)
		if s.whole != nil {
			s.whole(c, f.StreamID, id)
		}
	}
}

// reset resets a stream.
func (c *frameConn) reset(stream uint32, code http2.ErrCode) {
	delete(c.ids, stream)
	_ = c.WriteRSTStream(stream, code)
}

// respond sends as much of an OK response as steps says: header, message, trailers.
func (c *frameConn) respond(stream uint32, steps int) {
	if steps > 0 {
		c.fields(stream, false, ":status", "200", "content-type", "application/grpc")
	}
	if steps > 1 {
		_ = c.WriteData(stream, false, emptyMessage)
	}
	if steps > 2 {
		c.fields(stream, true, "grpc-status", "0")
	}
}

func (c *frameConn) fields(stream uint32, end bool, pairs ...string) {
	c.header.Reset()
	for i := 0; i < len(pairs); i += 2 {
		_ = c.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	_ = c.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: c.header.Bytes(), EndHeaders: true, EndStream: end,
	})
}

// everyCode are all codes of failures.
func everyCode() []codes.Code {
	var all []codes.Code
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		all = append(all, code)
	}
	return all
}

// TestR03ResetAtEachPoint: a server that has begun a call breaks it off, at each point and in each
// way. A call that is not idempotent is executed once, and an idempotent one is repeated only if
// no response header has arrived.
func TestR03ResetAtEachPoint(t *testing.T) {
	const closed = http2.ErrCode(1000) // the connection, instead of a reset
	points := []string{"headers", "request", "response header", "response message"}
	for point, name := range points {
		for _, code := range []http2.ErrCode{
			http2.ErrCodeNo, http2.ErrCodeInternal, http2.ErrCodeCancel, http2.ErrCodeEnhanceYourCalm, closed,
		} {
			for _, idempotent := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %d, idempotent %t", name, code, idempotent), func(t *testing.T) {
					executed := newExecutions()
					end := func(c *frameConn, stream uint32) {
						if code == closed {
							_ = c.conn.Close()
						} else {
							c.reset(stream, code)
						}
					}
					server := &frameServer{begun: func(c *frameConn, stream uint32, id string) {
						executed.add(id)
						if point == 0 {
							end(c, stream)
						}
					}, whole: func(c *frameConn, stream uint32, _ string) {
						if point > 0 {
							c.respond(stream, point-1)
							end(c, stream)
						}
					}}
					chain := hauberk.Must(hauberk.New(retry.New(retry.Config{
						AllMethods: idempotent, RetryableStatusCodes: everyCode(), MaxReplayBytes: 1 << 20,
						MaxAttempts: 2, InitialBackoff: time.Millisecond,
					})))
					conn := chain.ClientConn(server.start(t))
					for _, kind := range kinds {
						id := kind.String()
						if err := callOn(t.Context(), conn, kind, id, 1); err == nil {
							t.Errorf("%s: no error", kind)
						}
						want := 1
						if idempotent && point < 2 {
							want = 2
						}
						if got := executed.of(id); got != want {
							t.Errorf("%s: %d executions, want %d", kind, got, want)
						}
					}
				})
			}
		}
	}
}

// r10 is a server that rejects streams with REFUSED_STREAM and sends GOAWAY at random, and executes the rest.
type r10 struct {
	*executions

	random   func(n int) int
	rejected atomic.Int64
	goneAway atomic.Int64
}

func newR10() *r10 {
	random := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	return &r10{executions: newExecutions(), random: func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(n)
	}}
}

func (r *r10) server() *frameServer {
	return &frameServer{begun: func(c *frameConn, stream uint32, _ string) {
		switch r.random(60) {
		case 0, 1, 2:
			r.rejected.Add(1)
			c.reset(stream, http2.ErrCodeRefusedStream)
		case 3:
			if c.last == 0 && stream > 1 {
				r.goneAway.Add(1)
				c.last = stream
				if r.random(2) == 0 {
					c.last -= 2
					delete(c.ids, stream)
				}
				_ = c.WriteGoAway(c.last, http2.ErrCodeNo, nil)
			}
		}
	}, whole: func(c *frameConn, stream uint32, id string) {
		r.add(id)
		c.respond(stream, 3)
	}}
}

// TestR10GoAwayAndRefusedStream: no call is lost and none is executed twice, while the server rejects
// streams with REFUSED_STREAM and sends GOAWAY at random.
func TestR10GoAwayAndRefusedStream(t *testing.T) { testR10(t, 8, func(i int) bool { return i < 500 }) }

// TestSoakR10GoAwayAndRefusedStream is the same with 100,000 calls.
func TestSoakR10GoAwayAndRefusedStream(t *testing.T) {
	_ = soakTime(t)
	testR10(t, 20, func(i int) bool { return i < 5000 })
}

func testR10(t *testing.T, clients int, more func(i int) bool) {
	t.Helper()
	r := newR10()
	chain := hauberk.Must(hauberk.New(retrying(retry.Config{MaxAttempts: 6})))
	conn := chain.ClientConn(r.server().start(t))
	var calls atomic.Int64
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			for i := 0; more(i); i++ {
				kind := kinds[i%len(kinds)]
				id := fmt.Sprint(client, ".", i)
				calls.Add(1)
				if err := callOn(t.Context(), conn, kind, id, 1); err != nil {
					t.Errorf("%s %s was lost: %v", kind, id, err)
				}
				if got := r.of(id); got != 1 {
					t.Errorf("%s %s was executed %d times, want once", kind, id, got)
				}
			}
		})
	}
	wg.Wait()
	if r.sum() != int(calls.Load()) || r.rejected.Load() == 0 || r.goneAway.Load() == 0 {
		t.Errorf("%d executions of %d calls", r.sum(), calls.Load())
	}
	t.Logf("%d calls, %d streams rejected, %d GOAWAYs", calls.Load(), r.rejected.Load(), r.goneAway.Load())
}
