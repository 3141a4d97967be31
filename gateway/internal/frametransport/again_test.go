package frametransport

import (
	"bytes"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// A call that the upstream has not processed is sent once more, with its requests, and never
// a third time. The time for the first byte is no deadline of the call.
func TestUnprocessedCallsAreSentOnceMore(t *testing.T) {
	small := append([]byte{0, 0, 0, 0, 100}, make([]byte, 100)...)
	large := append([]byte{0, 0, 0, 0x80, 0}, make([]byte, 0x8000)...)
	reject := func(r *raw, id uint32) { _ = r.WriteRSTStream(id, http2.ErrCodeRefusedStream) }
	leave := func(r *raw, _ uint32) { _ = r.WriteGoAway(0, http2.ErrCodeNo, nil) }
	cancel := func(r *raw, id uint32) { _ = r.WriteRSTStream(id, http2.ErrCodeCancel) }
	begun := func(r *raw, id uint32) {
		_ = r.headers(id, false, ":status", "200", "content-type", "application/grpc")
		reject(r, id)
	}
	tests := []struct {
		name     string
		request  []byte
		fail     func(r *raw, id uint32)
		failures int
		status   string
		attempts int
	}{
		{"rejected", small, reject, 1, "0", 2},
		{"rejected twice", small, reject, 2, "14", 2},
		{"GOAWAY", small, leave, 1, "0", 2},
		{"GOAWAY twice", small, leave, 2, "14", 2},
		{"a large request", large, reject, 1, "14", 1},
		{"cancelled", small, cancel, 1, "1", 1},
		{"rejected after the header", small, begun, 1, "14", 1},
	}
	for _, tt := range tests {
		for when, late := range map[string]bool{"at the header": false, "at the end": true} {
			if len(tt.request) > maxKept && !late {
				continue // it depends on the schedule whether the request was sent by then
			}
			name := tt.name + " " + when
			t.Run(name, func(t *testing.T) {
				eachWay(t, func(t *testing.T, w way) {
					config := Config{}
					if w == handled {
						config.FirstByte = time.Minute
					}
					n := w.start(t, config)
					var mu sync.Mutex
					attempts := 0
					data := make(map[*raw]map[uint32][]byte)
					n.upstream(func(r *raw, f http2.Frame) {
						mu.Lock()
						defer mu.Unlock()
						id := f.Header().StreamID
						ended := false
						switch f := f.(type) {
						case *http2.MetaHeadersFrame:
							attempts++
							for _, field := range f.Fields {
								if field.Name == keyTimeout {
									t.Errorf("attempt %d has the deadline %s of a call without one", attempts, field.Value)
								}
							}
							if data[r] == nil {
								data[r] = make(map[uint32][]byte)
							}
							if attempts <= tt.failures && !late {
								tt.fail(r, id)
							}
							return
						case *http2.DataFrame:
							_ = r.WriteWindowUpdate(0, max(f.Length, 1))
							data[r][id] = append(data[r][id], f.Data()...)
							ended = f.StreamEnded()
						}
						switch {
						case !ended:
						case attempts <= tt.failures && late:
							tt.fail(r, id)
						case attempts > tt.failures:
							if !bytes.Equal(data[r][id], tt.request) {
								t.Errorf("the upstream has %d bytes, want %d", len(data[r][id]), len(tt.request))
							}
							_ = r.headers(id, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "0")
						}
					})
					client := n.client(t)
					_ = client.headers(1, false, request()...)
					go func() {
						for rest := tt.request; len(rest) > 0; {
							part := rest[:min(len(rest), 1<<14)]
							rest = rest[len(part):]
							_ = client.WriteData(1, len(rest) == 0, part)
						}
					}()
					res := client.await(1)
					synctest.Wait()
					mu.Lock()
					if res.isReset || res.fields["grpc-status"] != tt.status || attempts != tt.attempts {
						t.Errorf("%d attempts, %+v; want %d and status %s", attempts, res, tt.attempts, tt.status)
					}
					mu.Unlock()
					_ = client.conn.Close()
					n.stop()
				})
			})
		}
	}
}
