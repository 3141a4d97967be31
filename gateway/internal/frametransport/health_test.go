package frametransport

import (
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// healthOf answers Watch with statuses.
func healthOf(statuses <-chan healthpb.HealthCheckResponse_ServingStatus) func(r *raw, f http2.Frame) {
	return func(r *raw, frame http2.Frame) {
		f, ok := frame.(*http2.MetaHeadersFrame)
		if !ok {
			return
		}
		if f.PseudoValue("path") != healthpb.Health_Watch_FullMethodName {
			answerOK(r, frame)
			return
		}
		id := f.StreamID
		_ = r.headers(id, false, ":status", "200", "content-type", "application/grpc")
		go func() {
			for s := range statuses {
				data, _ := proto.Marshal(&healthpb.HealthCheckResponse{Status: s})
				r.mu.Lock()
				_ = r.WriteData(id, false, append([]byte{0, 0, 0, 0, byte(len(data))}, data...))
				r.mu.Unlock()
			}
			_ = r.headers(id, true, "grpc-status", "14", "grpc-message", "gone")
		}()
	}
}

// Calls use addresses whose health check reports SERVING, or that have no health checks.
func TestHealthChecks(t *testing.T) {
	config := Config{MessageSize: 1000, Connections: transport.Connections{HealthCheck: true, HealthService: "shop"}}
	inBubble(t, "watched", func(t *testing.T) {
		f := startFleet(t, both, config, first, second)
		defer f.stop()
		statuses := make(chan healthpb.HealthCheckResponse_ServingStatus)
		f.set(first, func(b *backend) { b.answer = healthOf(statuses) })
		f.set(second, func(b *backend) {
			b.answer = func(r *raw, frame http2.Frame) {
				if m, ok := frame.(*http2.MetaHeadersFrame); ok && m.PseudoValue("path") == healthpb.Health_Watch_FullMethodName {
					_ = r.headers(m.StreamID, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "12")
					return
				}
				answerOK(r, frame)
			}
		})
		go func() { statuses <- healthpb.HealthCheckResponse_SERVING }()
		f.want(t, 2, codes.OK)
		if n := f.calls(first, second); n[0] != 2 {
			t.Errorf("%v calls, want 2 at the first address", n)
		}
		statuses <- healthpb.HealthCheckResponse_NOT_SERVING
		synctest.Wait()
		f.want(t, 2, codes.OK)
		if n := f.calls(first, second); n[1] != 2 {
			t.Errorf("%v calls, want 2 at the address without health checks", n)
		}
		f.down(second)
		synctest.Wait()
		if code, message := f.call(t.Context()); code != codes.Unavailable {
			t.Errorf("%s, %s", code, message)
		}
		statuses <- healthpb.HealthCheckResponse_SERVING
		synctest.Wait()
		f.want(t, 1, codes.OK)
		close(statuses)
		synctest.Wait()
		if code, message := f.call(t.Context()); code != codes.Unavailable {
			t.Errorf("%s, %s", code, message)
		}
	})
	inBubble(t, "malformed", func(t *testing.T) {
		f := startFleet(t, "passthrough:///"+first, config, first)
		defer f.stop()
		f.set(first, func(b *backend) {
			b.answer = func(r *raw, frame http2.Frame) {
				if m, ok := frame.(*http2.MetaHeadersFrame); ok {
					_ = r.headers(m.StreamID, false, ":status", "200", "content-type", "application/grpc")
					_ = r.WriteData(m.StreamID, false, []byte{0, 0, 0, 0, 1, 0xff})
				}
			}
		})
		if code, message := f.call(t.Context()); code != codes.Unavailable || !strings.Contains(message, "malformed") {
			t.Errorf("%s, %s", code, message)
		}
	})
}
