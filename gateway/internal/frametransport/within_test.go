package frametransport

import (
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// A response that ends within a message is reset, with the code for its status: a trailer
// would make clients report that the message is incomplete. Within a small message, which is
// received first, the client gets the status.
func TestResponsesThatEndWithinAMessage(t *testing.T) {
	lose := func(r *raw) { _ = r.conn.Close() }
	calm := func(r *raw) { _ = r.WriteRSTStream(1, http2.ErrCodeEnhanceYourCalm) }
	cancel := func(r *raw) { _ = r.WriteRSTStream(1, http2.ErrCodeCancel) }
	wait := func(*raw) {}
	tests := []struct {
		name   string
		size   byte // of the message, in units of 256 bytes
		fail   func(*raw)
		reset  http2.ErrCode
		status string // instead of a reset
	}{
		{"lost", 0x80, lose, http2.ErrCodeInternal, ""},
		{"too much", 0x80, calm, http2.ErrCodeEnhanceYourCalm, ""},
		{"cancelled", 0x80, cancel, http2.ErrCodeCancel, ""},
		{"deadline", 0x80, wait, http2.ErrCodeCancel, ""},
		{"lost, small", 1, lose, 0, "14"},
		{"cancelled, small", 1, cancel, 0, "1"},
		{"deadline, small", 1, wait, 0, "4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, w way) {
				n := w.start(t, Config{})
				n.upstream(func(r *raw, f http2.Frame) {
					if _, ok := f.(*http2.MetaHeadersFrame); ok {
						_ = r.headers(1, false, ":status", "200", "content-type", "application/grpc")
						_ = r.WriteData(1, false, []byte{0, 0, 0, tt.size, 0, 'x', 'y'})
						go func() {
							<-time.After(time.Millisecond) // the gateway forwards what it can
							tt.fail(r)
						}()
					}
				})
				client := n.client(t)
				began := time.Now()
				_ = client.headers(1, true, request("grpc-timeout", "1S")...)
				res := client.await(1)
				if res.isReset != (tt.status == "") || res.reset != tt.reset || res.fields["grpc-status"] != tt.status {
					t.Errorf("%+v, want a reset with %s, or status %q", res, tt.reset, tt.status)
				}
				if took := time.Since(began); took > 1100*time.Millisecond {
					t.Errorf("it took %v", took)
				}
				_ = client.conn.Close()
				n.stop()
			})
		})
	}
}
