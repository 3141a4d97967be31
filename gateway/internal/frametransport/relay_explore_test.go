package frametransport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// world has clients and a service that echoes, at random speeds, with a server in between.
type world struct {
	*testseed.Shared

	t      *testing.T
	n      *network
	faults bool // the service rejects and resets streams, and leaves connections
	echoes sync.WaitGroup
}

// once reports true once in n times, if there are faults.
func (w *world) once(n int) bool { return w.faults && w.IntN(n) == 0 }

// serve serves the server's connections to the service.
func (w *world) serve() {
	for {
		nc, err := w.n.back.Accept()
		if err != nil {
			return
		}
		config := h2.Config{MaxStreams: uint32(5 + w.IntN(50)), Window: 65535 << w.IntN(4), PingAfter: -1}
		var conn *h2.Conn
		conn = h2.NewServer(nc, config, func(s *h2.Stream) {
			w.echoes.Go(func() {
				if w.once(100) {
					conn.Drain()
				}
				w.echo(s)
			})
		})
		w.n.served.Go(func() { _ = conn.Serve() })
	}
}

// echo sends back what it receives, or fails.
func (w *world) echo(s *h2.Stream) {
	defer s.Close()
	header := []hpack.HeaderField{{Name: ":status", Value: "200"}, {Name: "content-type", Value: "application/grpc"}}
	status := func(code string) []hpack.HeaderField { return []hpack.HeaderField{{Name: "grpc-status", Value: code}} }
	w.Pause()
	if w.once(20) {
		s.Reset(http2.ErrCodeRefusedStream)
		return
	}
	if w.once(20) {
		_ = s.WriteHeader(append(header, status("9")...), true)
		return
	}
	_ = s.WriteHeader(header, false)
	for {
		w.Pause()
		data, err := s.Next(w.t.Context(), 1+w.IntN(20_000))
		if errors.Is(err, io.EOF) {
			_ = s.WriteHeader(status("0"), true)
			return
		}
		if err != nil || w.once(100) {
			return
		}
		if w.once(100) {
			_ = s.WriteHeader(status("5"), true)
			return
		}
		if s.Write(w.t.Context(), data) != nil {
			return
		}
		s.Credit(len(data))
	}
}

// messages returns random messages with their prefixes.
func (w *world) messages() []byte {
	var all []byte
	for range w.IntN(8) {
		m := make([]byte, w.IntN(1<<w.IntN(17)))
		for i := range m {
			m[i] = byte(i * 7)
		}
		all = binary.BigEndian.AppendUint32(append(all, 0), uint32(len(m)))
		all = append(all, m...)
	}
	return all
}

// call makes a call and checks what comes back. The client may end it early. It returns whether all came back.
func (w *world) call(conn *h2.Conn, sent []byte, patient bool) (complete bool) {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	fields := pairs(request())
	if !patient {
		if w.IntN(3) == 0 {
			fields = append(fields, hpack.HeaderField{Name: keyTimeout, Value: formatTimeout(time.Duration(1+w.IntN(2000)) * time.Millisecond)})
		}
		if w.IntN(4) == 0 {
			time.AfterFunc(time.Duration(1+w.IntN(2000))*time.Millisecond, cancel)
		}
	}
	s, err := conn.Open(ctx, fields)
	if err != nil {
		return false
	}
	defer s.Close()
	var sender sync.WaitGroup
	defer sender.Wait()
	sender.Go(func() {
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), 1+w.IntN(40_000))
			if s.Write(ctx, rest[:n/2], rest[n/2:n]) != nil {
				return
			}
			rest = rest[n:]
			w.Pause()
		}
		_ = s.End()
	})
	if _, err := s.Header(ctx); err != nil || s.TrailersOnly() {
		return false
	}
	var got []byte
	for {
		data, err := s.Next(ctx, 1+w.IntN(20_000))
		if got = append(got, data...); !bytes.HasPrefix(sent, got) {
			w.t.Error("the data that came back differs")
			return false
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false
		}
		w.Pause()
		s.Credit(len(data))
	}
	trailer, _ := s.Trailer()
	w.t.Log(trailer)
	for _, f := range trailer {
		if f.Name == keyStatus && f.Value == "0" {
			if len(got) != len(sent) {
				w.t.Errorf("%d bytes came back with OK, want %d", len(got), len(sent))
			}
			return len(got) == len(sent)
		}
	}
	return false
}

// pairs returns a header list of names and values.
func pairs(of []string) (fields []hpack.HeaderField) {
	for i := 0; i < len(of); i += 2 {
		fields = append(fields, hpack.HeaderField{Name: of[i], Value: of[i+1]})
	}
	return fields
}

// In any schedule and both ways, calls end, no data is lost or mixed up, and no credit and no
// goroutine are lost, with peers that reset streams and leave connections at any time.
func TestRelayExploration(t *testing.T) {
	for seed := range uint64(20) {
		random := testseed.Rand(t, seed)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			state := random.Uint64()
			eachWay(t, func(t *testing.T, way way) {
				// With faults the handler may wait for a stream while it holds a mutex, during which the fake
				// clock stops.
				faults := seed%2 == 1 && way == directly
				w := &world{Shared: testseed.Share(rand.New(rand.NewPCG(state, 0))), t: t, faults: faults}
				w.explore(way)
			})
		})
	}
}

func (w *world) explore(way way) {
	t := w.t
	config := Config{
		MessageSize: 1 << 20,
		Clients:     h2.Config{Window: 65535 << w.IntN(4), MaxStreams: 40, PingAfter: -1},
		Upstream:    h2.Config{Window: 65535 << w.IntN(4)},
		Connections: transport.Connections{WaitForReady: time.Minute},
	}
	w.n = way.start(t, config)
	w.n.served.Go(w.serve)
	var running, calls sync.WaitGroup
	var conns []*h2.Conn
	for range 1 + w.IntN(3) {
		nc, err := w.n.front.DialContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conn := h2.NewClient(nc, h2.Config{Window: 65535 << w.IntN(4), PingAfter: -1})
		conns = append(conns, conn)
		running.Go(func() { _ = conn.Serve() })
	}
	for range 1 + w.IntN(40) {
		conn := conns[w.IntN(len(conns))]
		calls.Go(func() {
			for range 3 {
				w.Pause()
				w.call(conn, w.messages(), false)
			}
		})
	}
	calls.Wait()
	synctest.Wait()
	w.faults = false
	large := make([]byte, prefixLen+1<<20)
	binary.BigEndian.PutUint32(large[1:], 1<<20)
	for _, conn := range conns { // which would block if credit were lost
		if !w.call(conn, large, true) {
			t.Error("a call at the end fails")
		}
		synctest.Wait()
		if streams, _ := conn.Activity(); streams != 0 {
			t.Errorf("%d streams are left", streams)
		}
		conn.Close()
	}
	running.Wait()
	w.n.stop()
	w.echoes.Wait()
}
