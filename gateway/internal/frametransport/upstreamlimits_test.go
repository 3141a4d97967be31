package frametransport

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
)

// The upstream's response header must come in time, and large header lists of the upstream end
// one call each, with the code that the upstream sent.
func TestUpstreamLimits(t *testing.T) {
	long := strings.Repeat("m", 900_000)
	tests := map[string]struct {
		answer              func(r *raw, id uint32)
		status, text, limit string
		data                int
	}{
		"late": {func(*raw, uint32) {}, "14", "not begun to answer", "first_byte_time", 0},
		"large header": {func(r *raw, id uint32) {
			_ = r.headers(id, false, ":status", "200", "content-type", "application/grpc", "x-large", long)
		}, "8", "header list of the response", "upstream_header_list", 0},
		"large trailer": {func(r *raw, id uint32) {
			_ = r.headers(id, false, ":status", "200", "content-type", "application/grpc")
			_ = r.WriteData(id, false, []byte{0, 0, 0, 0, 1, 'x'})
			_ = r.headers(id, true, "x-large", long, "grpc-status", "0")
		}, "0", "", "upstream_header_list", 6},
		"large message": {func(r *raw, id uint32) {
			_ = r.headers(id, true, ":status", "200", "content-type", "application/grpc", "grpc-message", long, "grpc-status", "9")
		}, "9", "mmm… (shortened by the gateway)", "upstream_header_list", 0},
		"message": {func(r *raw, id uint32) {
			_ = r.headers(id, false, ":status", "200", "content-type", "application/grpc")
			_ = r.WriteData(id, false, []byte{0, 255, 0, 0, 1, 'x'})
		}, "8", "the limit is", "message_size", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, w way) {
				rec := new(limits.Recorder)
				config := Config{Limits: rec}
				if name == "late" {
					config.FirstByte = 30 * time.Second
				}
				n := w.start(t, config)
				n.upstream(func(r *raw, f http2.Frame) {
					f2, ok := f.(*http2.MetaHeadersFrame)
					if !ok {
						return
					}
					for _, field := range f2.Fields {
						if field.Name == "x-good" {
							_ = r.headers(f2.StreamID, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "0")
							return
						}
					}
					tt.answer(r, f2.StreamID)
				})
				r := n.client(t)
				_ = r.headers(1, true, request()...)
				res := r.await(1)
				if res.fields["grpc-status"] != tt.status || !strings.Contains(decodeMessage(res.fields["grpc-message"]), tt.text) || len(res.data) != tt.data {
					t.Errorf("the call: %+v", res)
				}
				_ = r.headers(3, true, request("x-good", "1")...)
				if res := r.await(3); res.fields["grpc-status"] != "0" {
					t.Errorf("another call on the same connections: %+v", res)
				}
				if n.up.connections() != 1 {
					t.Errorf("%d connections to the upstream", n.up.connections())
				}
				for limit, count := range rec.Counts {
					if (limit == tt.limit) != (count == 1) {
						t.Errorf("%s was met %d times", limit, count)
					}
				}
				_ = r.conn.Close()
				n.stop()
			})
		})
	}
}

func (u *Upstream) connections() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.conns)
}
