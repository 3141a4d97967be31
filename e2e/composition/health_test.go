package composition_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/serving"
)

// checked is a cluster whose health an Envoy checks.
type checked struct {
	Name    string // of the cluster
	Service string // that the check names
	Port    int
}

// healthyHosts returns whether the one host of each cluster passes Envoy's checks.
func (e *envoy) healthyHosts(t *testing.T) map[string]bool {
	t.Helper()
	var clusters struct {
		Statuses []struct {
			Name  string `json:"name"`
			Hosts []struct {
				Health struct {
					Failed bool `json:"failed_active_health_check"`
				} `json:"health_status"`
			} `json:"host_statuses"`
		} `json:"cluster_statuses"`
	}
	if err := json.Unmarshal(e.get(t, "clusters?format=json"), &clusters); err != nil {
		t.Fatal(err)
	}
	healthy := make(map[string]bool)
	for _, c := range clusters.Statuses {
		healthy[c.Name] = len(c.Hosts) == 1 && !c.Hosts[0].Health.Failed
	}
	return healthy
}

// await waits until a condition holds.
func await(ctx context.Context, t *testing.T, what func() string) {
	t.Helper()
	tick := time.NewTicker(5 * ms)
	defer tick.Stop()
	for {
		missing := what()
		if missing == "" {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(missing)
		}
	}
}

// call makes a call through Envoy to a cluster and returns its code.
func (e *envoy) call(ctx context.Context, t *testing.T, conn *grpc.ClientConn, cluster string) codes.Code {
	t.Helper()
	ctx = metadata.AppendToOutgoingContext(ctx, "x-case", cluster)
	return status.Code(conn.Invoke(ctx, hauberktest.FullMethod(hauberk.Unary), new(testpb.Request), new(testpb.Response)))
}

// TestEnvoyChecksHealth: a real Envoy sends calls to a server in the states in which it wants some, as to one of bare
// grpc-go whose health service has the same status: while it starts, serves, reads only, is maintained, lacks what one
// of its services depends on, and shuts down.
func TestEnvoyChecksHealth(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	listen := func() (net.Listener, int) {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return lis, lis.Addr().(*net.TCPAddr).Port
	}
	checks, bareChecks := health.NewServer(), health.NewServer()
	const noCache = serving.State("no-cache")
	state := serving.New(serving.Config{
		Services: []string{service},
		States:   map[serving.State]serving.Rule{noCache: {Methods: []string{"*"}, Except: []string{service + "/Bidi"}}},
	}, serving.WithHealth(checks))
	chain, err := hauberk.Config{Drain: hauberk.Drain{Notice: time.Hour}}.New(state)
	if err != nil {
		t.Fatal(err)
	}
	srv, bare := chain.NewServer(), grpc.NewServer()
	register := func(srv grpc.ServiceRegistrar, checks *health.Server) {
		healthpb.RegisterHealthServer(srv, checks)
		testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
	}
	register(srv, checks)
	register(bare, bareChecks)
	setBare := func(server, one healthpb.HealthCheckResponse_ServingStatus) {
		bareChecks.SetServingStatus("", server)
		bareChecks.SetServingStatus(service, one)
	}
	const on, off = healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING
	setBare(off, off)
	lis, port := listen()
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(srv.Stop)
	bareLis, barePort := listen()
	go func() { _ = bare.Serve(bareLis) }()
	t.Cleanup(bare.Stop)
	proxy := startEnvoy(t, "health.yaml.tmpl", []checked{
		{"server", "", port},
		{"service", service, port},
		{"unknown", "unknown.Service", port},
		{"bare-server", "", barePort},
		{"bare-service", service, barePort},
		{"bare-unknown", "unknown.Service", barePort},
	})
	conn, err := grpc.NewClient(proxy.target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	stopped := make(chan error, 1)
	stopping, stop := context.WithCancel(ctx)
	defer stop()
	set := func(to serving.State) func() {
		return func() {
			if err := state.Set(to); err != nil {
				t.Error(err)
			}
		}
	}
	for _, step := range []struct {
		name            string
		do              func()
		server, service bool
	}{
		{"starting", func() {}, false, false},
		{"serving", set(serving.Serving), true, true},
		{"read-only", set(serving.ReadOnly), true, true},
		{"maintenance", set(serving.Maintenance), false, false},
		{"serving again", set(serving.Serving), true, true},
		{"without a dependency of one service", func() { checks.SetServingStatus(service, off) }, true, false},
		{"without a dependency", set(noCache), false, false},
		{"with all dependencies", set(serving.Serving), true, true},
		{"draining", func() { go func() { stopped <- srv.Shutdown(stopping) }() }, false, false},
	} {
		statuses := map[bool]healthpb.HealthCheckResponse_ServingStatus{true: on, false: off}
		setBare(statuses[step.server], statuses[step.service])
		step.do()
		want := make(map[string]bool)
		for _, name := range []string{"", "bare-"} {
			want[name+"server"], want[name+"service"], want[name+"unknown"] = step.server, step.service, false
		}
		await(ctx, t, func() string {
			if got := proxy.healthyHosts(t); !maps.Equal(got, want) {
				return fmt.Sprintf("%s: healthy for Envoy are %v; want %v", step.name, got, want)
			}
			return ""
		})
		for name, healthy := range want { // its workers learn of it a moment later
			await(ctx, t, func() string {
				got := proxy.call(ctx, t, conn, name)
				if arrived := got == codes.OK || got == codes.FailedPrecondition; arrived != healthy {
					return fmt.Sprintf("%s: a call to the cluster %s ends with %v, and the cluster is healthy: %t",
						step.name, name, got, healthy)
				}
				return ""
			})
		}
	}
	direct, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	if got := proxy.call(ctx, t, direct, ""); got != codes.OK {
		t.Errorf("a call during the notice of the shutdown ends with %v; want OK", got)
	}
	stop()
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
