package gateway_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/gateway"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

func TestConnectionsAreChecked(t *testing.T) {
	const good = "127.0.0.1:50051"
	tests := []struct {
		name   string
		config gateway.Config
		want   []string // parts of the error; nil means success
	}{
		{"all", gateway.Config{Connections: gateway.Connections{
			Balance: gateway.RoundRobin, ConnectTimeout: time.Second, MinBackoff: 2 * time.Second, TCPTimeout: -1,
			PingAfter: gateway.MinPingAfter, PingTimeout: time.Second, PingIdle: true, HealthCheck: true, HealthService: "shop",
			EjectAfter: 5, EjectTime: time.Second, EjectPercent: 100, WaitForReady: time.Second, TLS: &gateway.TLS{},
		}}, nil},
		{"maximum below the default minimum", gateway.Config{Connections: gateway.Connections{MaxBackoff: time.Millisecond}}, nil},
		{"names", gateway.Config{Connections: gateway.Connections{Balance: "least_request"}}, []string{`Balance is "least_request"; want "pick_first"`}},
		{"times", gateway.Config{Connections: gateway.Connections{
			ConnectTimeout: -1, MinBackoff: -1, PingAfter: time.Second, WaitForReady: -1, MaxBackoff: -2,
		}}, []string{"ConnectTimeout is -1ns", "MinBackoff is -1ns", "MaxBackoff is -2ns", "PingAfter is 1s; want 10s or more", "WaitForReady is -1ns"}},
		{"backoff", gateway.Config{Connections: gateway.Connections{MinBackoff: 2, MaxBackoff: 1}}, []string{"MaxBackoff is 1ns; want at least MinBackoff, 2ns"}},
		{"ping", gateway.Config{Connections: gateway.Connections{PingIdle: true}}, []string{"without PingAfter"}},
		{"ejection", gateway.Config{Connections: gateway.Connections{EjectPercent: 50}}, []string{"without EjectAfter"}},
		{"percent", gateway.Config{Connections: gateway.Connections{EjectAfter: 1, EjectPercent: 101}}, []string{"EjectPercent is 101"}},
		{"errors", gateway.Config{Connections: gateway.Connections{EjectAfter: -1}}, []string{"EjectAfter is -1"}},
		{"ejection of grpc-go", gateway.Config{Transport: gateway.TransportGRPC, Connections: gateway.Connections{EjectAfter: 1}}, []string{`EjectAfter needs transport "frames"`}},
		{"health of grpc-go", gateway.Config{Transport: gateway.TransportGRPC, Connections: gateway.Connections{HealthCheck: true}}, []string{`needs Balance "round_robin"`}},
		{"health", gateway.Config{Connections: gateway.Connections{HealthService: "\xff"}}, []string{"without HealthCheck", "want UTF-8"}},
		{"half a pair", gateway.Config{Connections: gateway.Connections{TLS: &gateway.TLS{CertFile: "x"}}}, []string{"Connections.TLS has one of"}},
		{"versions", gateway.Config{TLS: &gateway.TLS{CertFile: "x", KeyFile: "x", MinVersion: tls.VersionTLS11}}, []string{"TLS.MinVersion is 0x302"}},
		{"no pair", gateway.Config{TLS: &gateway.TLS{}}, []string{"TLS has no CertFile and KeyFile"}},
		{"name of clients", gateway.Config{TLS: &gateway.TLS{CertFile: "x", KeyFile: "x", ServerName: "x"}}, []string{"ServerName"}},
		{"no files", gateway.Config{
			TLS: &gateway.TLS{CertFile: "none.crt", KeyFile: "none.key"}, Connections: gateway.Connections{TLS: &gateway.TLS{CAFile: "none.ca"}},
		}, []string{"gateway: TLS: CertFile, KeyFile: ", "none.crt", "gateway: Connections.TLS: CAFile: ", "none.ca"}},
		{"list", gateway.Config{Upstream: "ipv4:127.0.0.1:1,shop:1"}, []string{`"shop:1" in ipv4:`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			if tt.config.Upstream == "" {
				tt.config.Upstream = good
			}
			g, err := gateway.New(tt.config)
			if g != nil {
				g.Stop()
			}
			if (err == nil) != (tt.want == nil) || (g == nil) != (err != nil) {
				t.Fatalf("gateway %v, error %v", g, err)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q lacks %q", err, part)
				}
			}
		})
	}
}

// counting returns the address of a backend that counts its calls.
func counting(t *testing.T) (address string, calls *atomic.Int64) {
	t.Helper()
	calls = new(atomic.Int64)
	return serve(t, &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		if _, err := s.Recv(); err != nil {
			return err
		}
		calls.Add(1)
		return s.Send(&testpb.Response{})
	}}), calls
}

// call makes a call through a gateway, bounded in time.
func call(t *testing.T, front string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := testpb.NewTestServiceClient(dial(t, front)).Unary(ctx, &testpb.Request{})
	return err
}

// Several addresses are used by the policy. One that rejects connections is left out.
func TestSeveralAddresses(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport gateway.Transport) {
		hauberktest.CheckLeaks(t)
		a, callsA := counting(t)
		b, callsB := counting(t)
		to := front(t, gateway.Config{Upstream: "ipv4:" + closed(t) + "," + a + "," + b, Transport: transport})
		for range 5 {
			if err := call(t, to); err != nil {
				t.Error(err)
			}
		}
		if callsA.Load() != 5 || callsB.Load() != 0 {
			t.Errorf("%d and %d calls, want all at the first address that works", callsA.Load(), callsB.Load())
		}
		callsA.Store(0)
		to = front(t, gateway.Config{
			Upstream: "ipv4:" + a + "," + closed(t) + "," + b, Transport: transport,
			Connections: gateway.Connections{Balance: gateway.RoundRobin},
		})
		for i := range 1000 { // until both are connected
			if err := call(t, to); err != nil {
				t.Error(err)
			}
			if callsA.Load() >= 2 && callsB.Load() >= 2 {
				break
			}
			if i == 999 {
				t.Errorf("%d and %d calls, want calls at both addresses", callsA.Load(), callsB.Load())
			}
		}
	})
}

// A call waits for an upstream that is not there yet.
func TestWaitForReady(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport gateway.Transport) {
		hauberktest.CheckLeaks(t)
		address := closed(t)
		to := front(t, gateway.Config{
			Upstream: address, Transport: transport, Connections: gateway.Connections{WaitForReady: 30 * time.Second},
		})
		outcome := make(chan error, 1)
		go func() { outcome <- call(t, to) }()
		select {
		case err := <-outcome:
			t.Fatalf("the call ended before the upstream listened: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		lis, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		srv := grpc.NewServer()
		testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
		run(t, func() error { return srv.Serve(lis) }, srv.Stop)
		if err := <-outcome; err != nil {
			t.Error(err)
		}
		short := front(t, gateway.Config{
			Upstream: closed(t), Transport: transport, Connections: gateway.Connections{WaitForReady: 10 * time.Millisecond},
		})
		if err := call(t, short); status.Code(err) != codes.Unavailable {
			t.Errorf("%v, want UNAVAILABLE after the time", err)
		}
	})
}

// Calls use the addresses that report SERVING.
func TestHealthChecks(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport gateway.Transport) {
		hauberktest.CheckLeaks(t)
		var addresses []string
		var checks []*health.Server
		var calls [2]atomic.Int64
		for i := range calls {
			lis, srv, check := listen(t), grpc.NewServer(), health.NewServer()
			testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
				calls[i].Add(1)
				return s.Send(&testpb.Response{})
			}})
			healthpb.RegisterHealthServer(srv, check)
			run(t, func() error { return srv.Serve(lis) }, srv.Stop)
			check.SetServingStatus("shop", healthpb.HealthCheckResponse_NOT_SERVING)
			addresses, checks = append(addresses, lis.Addr().String()), append(checks, check)
		}
		checks[1].SetServingStatus("shop", healthpb.HealthCheckResponse_SERVING)
		to := front(t, gateway.Config{
			Upstream: "ipv4:" + strings.Join(addresses, ","), Transport: transport,
			Connections: gateway.Connections{Balance: gateway.RoundRobin, HealthCheck: true, HealthService: "shop"},
		})
		for range 5 {
			if err := call(t, to); err != nil {
				t.Error(err)
			}
		}
		if calls[0].Load() != 0 || calls[1].Load() != 5 {
			t.Errorf("%d and %d calls, want all at the address that is serving", calls[0].Load(), calls[1].Load())
		}
		checks[1].SetServingStatus("shop", healthpb.HealthCheckResponse_NOT_SERVING)
		until(t, func() bool { return status.Code(call(t, to)) == codes.Unavailable })
		checks[0].SetServingStatus("shop", healthpb.HealthCheckResponse_SERVING)
		until(t, func() bool { return call(t, to) == nil })
	})
}

// until waits for a state that comes soon.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for !done() {
		if t.Context().Err() != nil {
			t.Fatal("the test ended before")
		}
	}
}
