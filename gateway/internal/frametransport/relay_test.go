package frametransport

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
)

// A client that takes too much time for a message loses the call. Another wait, a message that arrives slowly but
// steadily, and time in which the upstream takes nothing, do not end it.
func TestMessageTimeOfRelays(t *testing.T) {
	const most = 10 * time.Second
	part := func(r *raw, data ...byte) { _ = r.WriteData(1, false, data) }
	wait := func(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // synctest: the clock is fake
	tests := []struct {
		name   string
		send   func(r *raw)
		status string // "" if the call goes on
	}{
		{"half a prefix", func(r *raw) { part(r, 0, 0); wait(most + time.Second) }, "4"},
		{"half a small message", func(r *raw) { part(r, 0, 0, 0, 0, 9, 'x'); wait(most + time.Second) }, "4"},
		{"half a large message", func(r *raw) { part(r, 0, 0, 1, 0, 0, 'x'); wait(most + time.Second) }, "4"},
		{"in several waits", func(r *raw) {
			for range 4 {
				part(r, 0)
				wait(3 * time.Second)
			}
		}, "4"},
		{"nothing", func(*raw) { wait(10 * most) }, ""},
		{"between messages", func(r *raw) {
			for range 5 {
				part(r, 0, 0, 0, 0, 1, 'x')
				wait(5 * most)
			}
		}, ""},
		{"each message in two parts", func(r *raw) {
			for range 5 {
				part(r, 0, 0, 0)
				wait(most - time.Second)
				part(r, 0, 1, 'x')
			}
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rec := new(limits.Recorder)
				n := directly.start(t, Config{MessageTime: most, Limits: rec, Clients: h2.Config{PingAfter: -1}})
				n.upstream(func(r *raw, f http2.Frame) {
					if f, ok := f.(*http2.DataFrame); ok && f.Length > 0 {
						_ = r.WriteWindowUpdate(0, f.Length)
					}
				})
				client := n.client(t)
				_ = client.headers(1, false, request()...)
				ended := make(chan result, 1)
				go func() { ended <- client.await(1) }()
				n.served.Go(func() {
					tt.send(client)
					wait(time.Millisecond)
					_ = client.WriteRSTStream(1, http2.ErrCodeCancel) // of a call that goes on
					wait(time.Second)
					_ = client.conn.Close()
				})
				if got := (<-ended).fields["grpc-status"]; got != tt.status {
					t.Errorf("status %q, want %q", got, tt.status)
				}
				synctest.Wait()
				for limit, count := range rec.Counts {
					if want := limit == "message_time" && tt.status != ""; want != (count == 1) {
						t.Errorf("%s was met %d times", limit, count)
					}
				}
				_ = client.conn.Close()
				n.stop()
			})
		})
	}
}

// A call that waits for a stream of the upstream ends at its deadline, or when its client resets it or leaves, and
// goes on when there is a stream.
func TestCallsThatWaitForAStream(t *testing.T) {
	tests := []struct {
		name string
		end  func(client, upstream *raw)
		want string // grpc-status
	}{
		{"the deadline", func(*raw, *raw) {}, "4"},
		{"a reset", func(client, _ *raw) { _ = client.WriteRSTStream(3, http2.ErrCodeCancel) }, ""},
		{"a lost connection", func(client, _ *raw) { _ = client.conn.Close() }, ""},
		{"a stream", func(_, upstream *raw) { _ = upstream.WriteRSTStream(1, http2.ErrCodeCancel) }, "0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, w way) {
				n := w.start(t, Config{})
				var mu sync.Mutex
				var up *raw
				n.upstream(func(r *raw, f http2.Frame) {
					mu.Lock()
					defer mu.Unlock()
					if h, ok := f.(*http2.MetaHeadersFrame); ok && h.StreamID > 1 {
						_ = r.headers(h.StreamID, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "0")
					}
					if up == nil {
						up = r
						_ = r.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
					}
				})
				client := n.client(t)
				_ = client.headers(1, false, request()...)
				synctest.Wait()
				n.up.dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no more") }
				_ = client.headers(3, false, request("grpc-timeout", "5S")...)
				synctest.Wait()
				ended := make(chan result, 1)
				go func() { ended <- client.await(3) }()
				mu.Lock() // the upstream answers on another goroutine
				tt.end(client, up)
				mu.Unlock()
				if tt.want == "" {
					synctest.Wait()
					_ = client.conn.Close()
				}
				if got := (<-ended).fields["grpc-status"]; got != tt.want {
					t.Errorf("status %q, want %q", got, tt.want)
				}
				_ = client.conn.Close()
				synctest.Wait()
				n.stop()
			})
		})
	}
}

// 10,000 idle calls need no goroutine, and little memory.
func TestIdleRelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const calls = 10_000
		n := directly.start(t, Config{Clients: h2.Config{MaxStreams: calls, PingAfter: -1}})
		var mu sync.Mutex
		begun := 0
		n.upstream(func(r *raw, f http2.Frame) {
			if h, ok := f.(*http2.MetaHeadersFrame); ok {
				_ = r.headers(h.StreamID, false, ":status", "200", "content-type", "application/grpc")
				mu.Lock()
				defer mu.Unlock()
				begun++
			}
		})
		client := n.client(t)
		open := func(from, to int) {
			for i := from; i < to; i++ {
				if err := client.headers(uint32(2*i+1), false, request("grpc-timeout", "1H", "x-id", "7")...); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
		}
		go func() {
			for {
				if _, err := client.ReadFrame(); err != nil {
					return
				}
			}
		}()
		open(0, 100) // connects
		goroutines, before := runtime.NumGoroutine(), heap()
		open(100, calls)
		more := (heap() - before) / (calls - 100)
		t.Logf("an idle call holds %d bytes", more)
		mu.Lock()
		if begun != calls {
			t.Errorf("the upstream has %d calls", begun)
		}
		mu.Unlock()
		if got := runtime.NumGoroutine(); got > goroutines+10 {
			t.Errorf("%d goroutines for idle calls", got-goroutines)
		}
		if more > 3<<10 {
			t.Errorf("an idle call holds %d bytes; want at most 3 KiB", more)
		}
		_ = client.conn.Close()
		synctest.Wait()
		n.stop()
	})
}

// While a call waits to be sent once more, nothing is taken from its client, so that a message within which it waits
// is not late.
func TestMessageTimeWhileCallsWait(t *testing.T) {
	const most = 10 * time.Second
	synctest.Test(t, func(t *testing.T) {
		n := directly.start(t, Config{MessageTime: most})
		n.upstream(func(r *raw, f http2.Frame) {
			switch f := f.(type) {
			case *http2.MetaHeadersFrame:
				if f.StreamID > 3 {
					_ = r.headers(f.StreamID, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "0")
				}
			case *http2.DataFrame:
				if f.StreamID == 3 { // no further stream
					_ = r.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
					_ = r.WriteRSTStream(3, http2.ErrCodeRefusedStream)
				}
			}
		})
		client := n.client(t)
		_ = client.headers(1, false, request()...)
		synctest.Wait()
		n.up.dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no more") }
		_ = client.headers(3, false, request()...)
		_ = client.WriteData(3, false, binary.BigEndian.AppendUint32([]byte{0}, 1<<20))
		synctest.Wait()
		_ = client.WriteData(3, false, []byte("x"))
		time.Sleep(2 * most) //nolint:forbidigo // synctest: the clock is fake
		_ = client.WriteRSTStream(1, http2.ErrCodeCancel)
		if got := client.await(3).fields["grpc-status"]; got != "0" {
			t.Errorf("status %q, want 0", got)
		}
		_ = client.conn.Close()
		n.stop()
	})
}
