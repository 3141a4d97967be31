package frametransport

import (
	"encoding/binary"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// flooding is an upstream that answers each call with a message of 16 MB, as fast as flow
// control permits. All data is one shared slice. A call with x-small gets a small message.
type flooding struct {
	mu      sync.Mutex
	credit  int // of the connection
	initial int
	streams map[uint32]*flood
}

type flood struct {
	credit, left int
	prefix       []byte // of the message, or what is left of it
}

var zeros = make([]byte, 1<<14)

const large = 16 << 20

func (u *flooding) answer(r *raw, f http2.Frame) {
	u.mu.Lock()
	defer u.mu.Unlock()
	id := f.Header().StreamID
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
			for _, s := range u.streams {
				s.credit += int(v) - u.initial
			}
			u.initial = int(v)
		}
	case *http2.WindowUpdateFrame:
		if id == 0 {
			u.credit += int(f.Increment)
		} else if s := u.streams[id]; s != nil {
			s.credit += int(f.Increment)
		}
	case *http2.MetaHeadersFrame:
		_ = r.headers(id, false, ":status", "200", "content-type", "application/grpc")
		s := &flood{credit: u.initial, left: large}
		for _, field := range f.Fields {
			if field.Name == "x-small" {
				s.left = 1
			}
		}
		s.prefix = binary.BigEndian.AppendUint32([]byte{0}, uint32(s.left))
		s.left += len(s.prefix)
		u.streams[id] = s
	}
	for id, s := range u.streams {
		u.send(r, id, s)
	}
}

func (u *flooding) send(r *raw, id uint32, s *flood) {
	for s.left > 0 {
		n := min(s.left, s.credit, u.credit, len(zeros))
		if n <= 0 {
			return
		}
		data := zeros[:n]
		if len(s.prefix) > 0 {
			n = min(n, len(s.prefix))
			data, s.prefix = s.prefix[:n], s.prefix[n:]
		}
		_ = r.WriteData(id, false, data)
		s.left -= n
		s.credit -= n
		u.credit -= n
	}
	_ = r.headers(id, true, "grpc-status", "0")
	delete(u.streams, id)
}

func heap() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// 100 calls of a client that takes 64 KiB of each answer of 16 MB hold at most 1.5 MiB. Another
// client's calls on the same connection to the upstream go on.
func TestStalledReadersHoldLittle(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		n := w.start(t, Config{})
		up := &flooding{credit: 65535, initial: 65535, streams: make(map[uint32]*flood)}
		n.upstream(up.answer)
		stalled, other := n.client(t), n.client(t)
		call := func(r *raw, id uint32, more ...string) {
			if err := r.headers(id, true, request(more...)...); err != nil {
				t.Fatal(err)
			}
		}
		call(other, 1, "x-small", "1")
		if res := other.await(1); len(res.data) != 6 || res.fields["grpc-status"] != "0" {
			t.Fatalf("the first call: %+v", res)
		}
		// The client's connection has credit, so that only the windows of streams stop the calls.
		if err := stalled.WriteWindowUpdate(0, 1<<30); err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				if _, err := stalled.ReadFrame(); err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		idle := heap()
		for id := uint32(1); id < 200; id += 2 {
			call(stalled, id)
		}
		synctest.Wait()
		more := heap() - idle
		up.mu.Lock()
		open := len(up.streams)
		up.mu.Unlock()
		t.Logf("%d calls are stalled and hold %d KiB", open, more>>10)
		if open != 100 || more > 3<<19 {
			t.Errorf("%d stalled calls hold %d bytes, want 100 and at most 1.5 MiB", open, more)
		}
		call(other, 3, "x-small", "1")
		if res := other.await(3); len(res.data) != 6 || res.fields["grpc-status"] != "0" {
			t.Errorf("another call: %+v", res)
		}
		_ = stalled.conn.Close()
		_ = other.conn.Close()
		n.stop()
	})
}

// A client that takes no data and whose calls end early cannot make its connection hold the responses of more and more
// calls.
func TestEndedCallsHoldNothing(t *testing.T) {
	const rounds, calls, messages = 40, 10, 5
	message := append([]byte{0, 0, 0, 0x0f, 0xa0}, make([]byte, 4000)...)
	tests := map[string]struct {
		timeout string
		end     func(client *raw, id uint32)
	}{
		"by the deadline":        {"100m", func(*raw, uint32) {}},
		"by a malformed request": {"1H", func(r *raw, id uint32) { _ = r.WriteData(id, false, []byte{9, 0, 0, 0, 0}) }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := directly.start(t, Config{})
				n.upstream(func(r *raw, f http2.Frame) {
					if f, ok := f.(*http2.MetaHeadersFrame); ok {
						_ = r.headers(f.StreamID, false, ":status", "200", "content-type", "application/grpc")
						for range messages {
							_ = r.WriteData(f.StreamID, false, message)
						}
					}
				})
				client := n.client(t)
				_ = client.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
				go func() {
					for {
						if _, err := client.ReadFrame(); err != nil {
							return
						}
					}
				}()
				synctest.Wait()
				idle, id := heap(), uint32(1)
				for range rounds {
					first := id
					for ; id < first+2*calls; id += 2 {
						_ = client.headers(id, false, request("grpc-timeout", tt.timeout)...)
					}
					synctest.Wait()
					for id := first; id < first+2*calls; id += 2 {
						tt.end(client, id)
					}
					time.Sleep(time.Second) //nolint:forbidigo // synctest: the clock is fake
				}
				synctest.Wait()
				if more := heap() - idle; more > 1<<20 {
					t.Errorf("%d calls that have ended hold %d KiB", rounds*calls, more>>10)
				}
				_ = client.conn.Close()
				n.stop()
			})
		})
	}
}

// What is kept of the requests of a call, to send it once more, needs about as much memory as it has bytes, however
// the client has divided it.
func TestKeptRequestsHoldLittle(t *testing.T) {
	tests := map[string]func(i int) string{
		"small messages": func(int) string { return "\x00\x00\x00\x00\x01x" },
		"parts of a large message": func(i int) string {
			if i == 0 {
				return "\x00\x00\x10\x00\x00"
			}
			return "x"
		},
	}
	for name, piece := range tests {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, w way) {
				n := w.start(t, Config{})
				n.upstream(func(*raw, http2.Frame) {})
				client := n.client(t)
				_ = client.headers(1, false, request()...)
				synctest.Wait()
				idle := heap()
				for i := range 2500 {
					_ = client.WriteData(1, false, []byte(piece(i)))
					synctest.Wait()
				}
				if more := heap() - idle; more > 128<<10 {
					t.Errorf("requests of 15 KB hold %d KiB", more>>10)
				}
				_ = client.conn.Close()
				n.stop()
			})
		})
	}
}

// Small messages that are queued for a client that does not read need about as much memory as they have bytes.
func TestQueuedResponsesHoldLittle(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		n := w.start(t, Config{})
		upstream := make(chan *raw, 1)
		n.upstream(func(r *raw, f http2.Frame) {
			if _, ok := f.(*http2.MetaHeadersFrame); ok {
				_ = r.headers(1, false, ":status", "200", "content-type", "application/grpc")
				upstream <- r
			}
		})
		client := n.client(t)
		_ = client.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
		_ = client.WriteWindowUpdate(0, 1<<20)
		_ = client.headers(1, false, request()...)
		up := <-upstream
		synctest.Wait()
		idle := heap()
		for range 15_000 {
			_ = up.WriteData(1, false, []byte("\x00\x00\x00\x00\x01x"))
			synctest.Wait()
		}
		if more := heap() - idle; more > 1<<20 {
			t.Errorf("messages of 90 KB hold %d KiB", more>>10)
		}
		_ = client.conn.Close()
		n.stop()
	})
}
