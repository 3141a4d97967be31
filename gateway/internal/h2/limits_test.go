package h2

import (
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// A client that breaks the rules or floods the connection loses it, with the right code. Its
// handlers end, and the connection holds nothing for it.
func TestClientsThatBreakTheRules(t *testing.T) {
	many := func(n int, write func() error) func(*raw) {
		return func(*raw) {
			for range n {
				if write() != nil {
					return
				}
			}
		}
	}
	tests := []struct {
		name string
		send func(*raw)
		want http2.ErrCode
	}{
		{"DATA of an idle stream", func(r *raw) { _ = r.WriteData(1, false, []byte("x")) }, http2.ErrCodeProtocol},
		{"RST_STREAM of an idle stream", func(r *raw) { _ = r.WriteRSTStream(1, 0) }, http2.ErrCodeProtocol},
		{"WINDOW_UPDATE of an idle stream", func(r *raw) { _ = r.WriteWindowUpdate(1, 1) }, http2.ErrCodeProtocol},
		{"an even stream", func(r *raw) { _ = r.open(2, true) }, http2.ErrCodeProtocol},
		{"a stream that is closed", func(r *raw) {
			_ = r.open(3, false)
			_ = r.WriteRSTStream(3, http2.ErrCodeCancel)
			_ = r.open(3, false)
		}, http2.ErrCodeStreamClosed},
		{"PUSH_PROMISE", func(r *raw) {
			_ = r.open(1, false)
			_ = r.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: r.block(request...), EndHeaders: true})
		}, http2.ErrCodeProtocol},
		{"CONTINUATION alone", func(r *raw) { _ = r.WriteContinuation(1, true, nil) }, http2.ErrCodeProtocol},
		{"a large frame", func(r *raw) { _ = r.WriteRawFrame(http2.FrameData, 0, 1, make([]byte, 1<<14+1)) }, http2.ErrCodeFrameSize},
		{"a window above the maximum", func(r *raw) { _ = r.WriteWindowUpdate(0, maxWindow) }, http2.ErrCodeFlowControl},
		{"an initial window above the maximum", func(r *raw) {
			_ = r.WriteRawFrame(http2.FrameSettings, 0, 0, []byte{0, 4, 0xff, 0xff, 0xff, 0xff})
		}, http2.ErrCodeFlowControl},
		{"a wrong block", func(r *raw) {
			_ = r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff, 0xff, 0xff, 0xff, 0xff}, EndHeaders: true})
		}, http2.ErrCodeCompression},
		{"more data than the window", func(r *raw) {
			for id := uint32(1); ; id += 2 {
				if r.open(id, false) != nil || r.WriteData(id, false, make([]byte, 1<<14)) != nil {
					return
				}
			}
		}, http2.ErrCodeFlowControl},
		{"SETTINGS", func(r *raw) { many(1000, func() error { return r.WriteSettings() })(r) }, http2.ErrCodeEnhanceYourCalm},
		{"SETTINGS with many entries", func(r *raw) {
			many(20, func() error { return r.WriteSettings(make([]http2.Setting, 2000)...) })(r)
		}, http2.ErrCodeEnhanceYourCalm},
		{"PING", func(r *raw) { many(20_000, func() error { return r.WritePing(false, [8]byte{}) })(r) }, http2.ErrCodeEnhanceYourCalm},
		{"PRIORITY", func(r *raw) {
			many(20_000, func() error { return r.WritePriority(1, http2.PriorityParam{Weight: 3}) })(r)
		}, http2.ErrCodeEnhanceYourCalm},
		{"unknown frames", func(r *raw) { many(20_000, func() error { return r.WriteRawFrame(0x99, 0, 0, nil) })(r) }, http2.ErrCodeEnhanceYourCalm},
		{"empty DATA", func(r *raw) {
			_ = r.open(1, false)
			many(20_000, func() error { return r.WriteData(1, false, nil) })(r)
		}, http2.ErrCodeEnhanceYourCalm},
		{"resets", func(r *raw) {
			for id := uint32(1); id < 100_000; id += 2 {
				if r.open(id, false) != nil || r.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
					return
				}
			}
		}, http2.ErrCodeEnhanceYourCalm},
		{"CONTINUATION without end", func(r *raw) {
			_ = r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.block(request...)})
			many(1000, func() error { return r.WriteContinuation(1, false, r.block("x", strings.Repeat("v", 8000))) })(r)
		}, http2.ErrCodeProtocol},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, conn, served := startServer(t, Config{}, func(s *Stream) {
					for err := error(nil); err == nil; {
						_, err = s.Next(t.Context(), 1<<20) // without credit
					}
					s.Close()
				})
				go tt.send(client)
				if code := client.goAway(); code != tt.want {
					t.Errorf("GOAWAY with %s, want %s", code, tt.want)
				}
				if err := <-served; err == nil {
					t.Error("Serve returned no error")
				}
				_ = client.conn.Close()
				synctest.Wait()
				if conn.live > 1000 || conn.queued != 0 {
					t.Errorf("%d streams and %d bytes are left", conn.live, conn.queued)
				}
			})
		})
	}
}

// Errors of a stream end that stream and no other.
func TestStreamsThatBreakTheRules(t *testing.T) {
	tests := []struct {
		name   string
		stream uint32
		send   func(*raw)
		want   http2.ErrCode
	}{
		{"WINDOW_UPDATE by 0", 3, func(r *raw) {
			_ = r.open(3, false)
			_ = r.WriteRawFrame(http2.FrameWindowUpdate, 0, 3, make([]byte, 4))
		}, http2.ErrCodeProtocol},
		{"a window above the maximum", 3, func(r *raw) {
			_ = r.open(3, false)
			_ = r.WriteWindowUpdate(3, maxWindow)
		}, http2.ErrCodeFlowControl},
		{"DATA after the end", 3, func(r *raw) {
			_ = r.open(3, true)
			_ = r.WriteData(3, false, []byte("x"))
		}, http2.ErrCodeStreamClosed},
		{"more data than the stream's window", 3, func(r *raw) {
			_ = r.open(3, false)
			for range 5 {
				_ = r.WriteData(3, false, make([]byte, 1<<14))
			}
		}, http2.ErrCodeFlowControl},
		{"a trailer without the end", 3, func(r *raw) {
			_ = r.open(3, false)
			_ = r.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: r.block("x", "y"), EndHeaders: true})
		}, http2.ErrCodeProtocol},
		{"a name in upper case", 3, func(r *raw) {
			_ = r.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: r.block("X", "y"), EndHeaders: true})
		}, http2.ErrCodeProtocol},
		{"too many streams", 5, func(r *raw) {
			_ = r.open(3, false)
			_ = r.open(5, false)
		}, http2.ErrCodeRefusedStream},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var opened atomic.Int32
				client, conn, served := startServer(t, Config{MaxStreams: 2}, func(s *Stream) {
					opened.Add(1)
					<-time.After(time.Second) // fake
					_ = s.WriteHeader(nil, true)
					s.Close()
				})
				go func() {
					_ = client.open(1, true)
					tt.send(client)
				}()
				resets := make(map[uint32]http2.ErrCode)
				answered := false
				go func() {
					<-time.After(3 * time.Second)
					conn.Close()
				}()
				for {
					f, err := client.ReadFrame()
					if err != nil {
						break
					}
					switch f := f.(type) {
					case *http2.RSTStreamFrame:
						resets[f.StreamID] = f.ErrCode
					case *http2.MetaHeadersFrame:
						answered = answered || f.StreamID == 1 && f.StreamEnded()
					}
				}
				if err := <-served; err == nil {
					t.Error("Serve returned no error")
				}
				if code, ok := resets[tt.stream]; !ok || code != tt.want {
					t.Errorf("the streams were reset with %v, want %d with %s", resets, tt.stream, tt.want)
				}
				if tt.want == http2.ErrCodeRefusedStream && opened.Load() != 2 {
					t.Errorf("%d streams were opened, want 2", opened.Load())
				}
				if !answered {
					t.Error("the other stream has no answer")
				}
				_ = client.conn.Close()
			})
		})
	}
}

// A connection that sends nothing, or a part of a frame, is closed in time.
func TestSilentClients(t *testing.T) {
	for name, tt := range map[string]struct {
		send string
		want time.Duration
	}{
		"nothing":          {"", 20 * time.Second},
		"half a preface":   {http2.ClientPreface[:10], 20 * time.Second},
		"no settings":      {http2.ClientPreface, 20 * time.Second},
		"settings in part": {http2.ClientPreface + "\x00\x00\x06\x04", 20 * time.Second},
		"a few bytes":      {http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x08\x06", 20 * time.Second},
		"a frame in part":  {http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x08\x06\x00\x00\x00\x00\x00", 20 * time.Second},
		"a block in part": {
			http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01", 20 * time.Second,
		},
		"no answer to a ping": {http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00", 140 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := pipe(t)
				start := time.Now()
				conn := NewServer(far, Config{}, func(*Stream) { t.Error("a stream") })
				go func() { _, _ = near.Write([]byte(tt.send)) }()
				_ = conn.Serve()
				if took := time.Since(start); took != tt.want {
					t.Errorf("closed after %v, want %v", took, tt.want)
				}
				_ = near.Close()
			})
		})
	}
}

// A lost connection is an error of its streams, and not their regular end.
func TestLostConnectionIsNoEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan error, 1)
		client, _, served := startServer(t, Config{}, func(s *Stream) {
			_, err := s.Next(t.Context(), 1)
			got <- err
			s.Close()
		})
		if err := client.open(1, false); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		_ = client.conn.Close()
		if err := <-got; !errors.Is(err, ErrLost) || errors.Is(err, io.EOF) {
			t.Errorf("%v, want ErrLost and not io.EOF", err)
		}
		if err := <-served; !errors.Is(err, ErrLost) {
			t.Errorf("Serve returned %v, want ErrLost", err)
		}
	})
}
