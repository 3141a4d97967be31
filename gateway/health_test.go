package gateway_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/gateway"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// The gateway answers checks of its own health by its connections, inside the chain, and forwards all others.
func TestHealth(t *testing.T) { eachTransport(t, ownHealth) }

func ownHealth(t *testing.T, transport gateway.Transport) {
	hauberktest.CheckLeaks(t)
	lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	of, srv := health.NewServer(), grpc.NewServer()
	of.SetServingStatus("shop", healthpb.HealthCheckResponse_NOT_SERVING)
	healthpb.RegisterHealthServer(srv, of)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	var ran atomic.Int64
	chain := hauberk.Must(hauberk.New(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		ran.Add(1)
		call.OnReceive(func(any) (bool, error) { return true, nil })
		return next(ctx, call)
	})))
	for name, chain := range map[string]*hauberk.Chain{"plain": nil, "with hooks": chain} {
		t.Run(name, func(t *testing.T) {
			config := gateway.Config{
				Upstream: lis.Addr().String(), Transport: transport, HealthService: "gateway", Chain: chain,
			}
			client := healthpb.NewHealthClient(dial(t, front(t, config)))
			check := func(service string, opts ...grpc.CallOption) (healthpb.HealthCheckResponse_ServingStatus, error) {
				resp, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service}, opts...)
				return resp.GetStatus(), err
			}
			until(t, func() bool {
				got, err := check("gateway")
				return err == nil && got == healthpb.HealthCheckResponse_SERVING
			})
			for _, opts := range [][]grpc.CallOption{nil, {grpc.UseCompressor(gzip.Name)}} {
				for service, want := range map[string]healthpb.HealthCheckResponse_ServingStatus{
					"": healthpb.HealthCheckResponse_SERVING, "shop": healthpb.HealthCheckResponse_NOT_SERVING,
				} {
					if got, err := check(service, opts...); err != nil || got != want {
						t.Errorf("%q: %v, %v; want %v", service, got, err, want)
					}
				}
			}
			empty, err := client.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: "gateway"})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := empty.Recv(); err != nil || got.GetStatus() != healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
				t.Errorf("Watch: %v, %v; want the answer of the upstream", got, err)
			}
			if _, err := check("other"); status.Code(err) != codes.NotFound {
				t.Errorf("another service: %v", err)
			}
		})
	}
	if ran.Load() == 0 {
		t.Error("the chain did not run")
	}
	client := healthpb.NewHealthClient(dial(t, front(t, gateway.Config{
		Upstream: closed(t), Transport: transport, HealthService: "gateway",
	})))
	resp, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "gateway"})
	if err != nil || resp.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("without an upstream: %v, %v", resp, err)
	}
	srv.Stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
