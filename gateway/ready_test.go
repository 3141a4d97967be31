package gateway_test

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/gateway"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/serving"
)

// A gateway is ready while it has a connection to the upstream. It makes one without a call, and again after the upstream
// was away. After Shutdown it is not ready.
func TestReady(t *testing.T) { eachTransport(t, ready) }

func ready(t *testing.T, transport gateway.Transport) {
	hauberktest.CheckLeaks(t)
	address := closed(t)
	g, err := gateway.New(gateway.Config{
		Upstream: address, Transport: transport,
		Connections: gateway.Connections{MinBackoff: 10 * time.Millisecond, MaxBackoff: 10 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Stop()
	is := func(ready bool) func() bool { return func() bool { return (g.Ready() == nil) == ready } }
	var calls atomic.Int64
	for range 2 {
		for range 1000 { // the upstream is away
			if g.Ready() == nil {
				t.Fatal("it is ready without an upstream")
			}
		}
		lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		srv := grpc.NewServer(grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { calls.Add(1); return nil }))
		served := make(chan error, 1)
		go func() { served <- srv.Serve(lis) }()
		until(t, is(true))
		srv.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		until(t, is(false))
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("the upstream received %d calls; want none", n)
	}
	if err := g.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if g.Ready() == nil {
		t.Error("it is ready after Shutdown")
	}
}

// With health checks the gateway is ready while the upstream serves: a service that changes its state with package
// serving takes its sidecar out of the rotation, and back.
func TestReadyFollowsServing(t *testing.T) {
	hauberktest.CheckLeaks(t)
	status := health.NewServer()
	state := serving.New(serving.Config{}, serving.WithHealth(status))
	srv := hauberk.Must(hauberk.Config{Public: []string{"*"}}.New(state)).NewServer()
	healthpb.RegisterHealthServer(srv, status)
	lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	g, err := gateway.New(gateway.Config{
		Upstream: lis.Addr().String(), Connections: gateway.Connections{HealthCheck: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		state serving.State
		ready bool
	}{
		{serving.Starting, false},
		{serving.Serving, true},
		{serving.ReadOnly, true},
		{serving.Maintenance, false},
		{serving.Serving, true},
		{serving.Draining, false},
	} {
		if err := state.Set(c.state); err != nil {
			t.Fatal(err)
		}
		until(t, func() bool { return (g.Ready() == nil) == c.ready })
	}
	g.Stop()
	srv.Stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
