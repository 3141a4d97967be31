package frametransport

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
	"github.com/hauberk-rpc/hauberk/gateway/internal/upstreams"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// While addresses come and go, each call ends, with OK or UNAVAILABLE. When all is well again,
// calls succeed, and at the end no goroutine remains, which synctest checks.
func TestChurn(t *testing.T) {
	for _, policy := range []upstreams.Policy{upstreams.PickFirst, upstreams.RoundRobin} {
		for _, checked := range []bool{false, true} {
			name := string(policy)
			if checked {
				name += " with health checks"
			}
			inBubble(t, name, func(t *testing.T) { churn(t, policy, checked) })
		}
	}
}

func churn(t *testing.T, policy upstreams.Policy, checked bool) {
	random := testseed.Rand(t, 1)
	addresses := []string{"10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"}
	var mu sync.Mutex
	ips := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")}
	known := ips
	config := Config{
		MessageSize: 1000,
		Connections: transport.Connections{
			Policy: string(policy), HealthCheck: checked, EjectAfter: 3, EjectTime: 5 * time.Second, WaitForReady: time.Second,
		},
		Lookup: func(context.Context, string, string) ([]netip.Addr, error) {
			mu.Lock()
			defer mu.Unlock()
			if known == nil {
				return nil, errors.New("no such host")
			}
			return known, nil
		},
	}
	f := startFleet(t, "dns:///shop:1", config, addresses...)
	defer f.stop()
	for _, a := range addresses {
		f.set(a, func(b *backend) { b.answer = healthy })
	}
	var callers sync.WaitGroup
	stop := make(chan struct{})
	for range 8 {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
				}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				code, message := f.call(ctx)
				cancel()
				if code != codes.OK && code != codes.Unavailable {
					t.Errorf("%s, %s", code, message)
				}
			}
		})
	}
	for range 300 {
		a := addresses[random.IntN(len(addresses))]
		switch random.IntN(6) {
		case 0, 1:
			f.down(a)
		case 2:
			f.listenAgain(a)
		case 3:
			f.set(a, func(b *backend) {
				for _, r := range b.conns {
					r.mu.Lock()
					_ = r.WriteGoAway(1<<31-1, http2.ErrCodeNo, nil)
					r.mu.Unlock()
				}
			})
		case 4:
			f.set(a, func(b *backend) { b.hangs = !b.hangs })
		default:
			mu.Lock()
			known = ips[:random.IntN(len(ips)+1)]
			if len(known) == 0 {
				known = nil
			}
			mu.Unlock()
		}
		pass(time.Duration(random.IntN(1000)) * time.Millisecond)
	}
	close(stop)
	callers.Wait()
	mu.Lock()
	known = ips
	mu.Unlock()
	for _, a := range addresses {
		f.set(a, func(b *backend) { b.hangs = false })
		f.listenAgain(a)
	}
	_, _ = f.call(t.Context()) // begins the resolution that is due
	pass(time.Minute)
	_, _ = f.call(t.Context())
	pass(time.Minute)
	f.want(t, 10, codes.OK)
	if strings.Count(f.dialled(), " ") < 10 {
		t.Error("hardly any attempt to connect was made")
	}
}

// healthy answers calls, and reports SERVING.
func healthy(r *raw, frame http2.Frame) {
	f, ok := frame.(*http2.MetaHeadersFrame)
	if !ok || f.PseudoValue("path") != healthpb.Health_Watch_FullMethodName {
		answerOK(r, frame)
		return
	}
	_ = r.headers(f.StreamID, false, ":status", "200", "content-type", "application/grpc")
	data, _ := proto.Marshal(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING})
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.WriteData(f.StreamID, false, append([]byte{0, 0, 0, 0, byte(len(data))}, data...))
}

// listenAgain listens, unless the backend does already.
func (f *fleet) listenAgain(address string) {
	f.mu.Lock()
	down := f.backends[address].lis == nil
	f.mu.Unlock()
	if down {
		f.listen(address)
	}
}
