package composition_test

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/serving"
)

// The exit codes of grpc_health_probe.
const (
	probeServing   = 0
	probeNoServer  = 2
	probeRPCFailed = 3
	probeUnhealthy = 4
)

// probed is a server for grpc_health_probe.
type probed struct {
	addr   string
	checks *health.Server
}

func serveProbed(t *testing.T, checks *health.Server, srv interface {
	grpc.ServiceRegistrar
	Serve(lis net.Listener) error
	Stop()
},
) probed {
	t.Helper()
	healthpb.RegisterHealthServer(srv, checks)
	testpb.RegisterTestServiceServer(srv, testpb.UnimplementedTestServiceServer{})
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(srv.Stop)
	return probed{lis.Addr().String(), checks}
}

func isServing(t *testing.T, checks *health.Server) bool {
	t.Helper()
	resp, err := checks.Check(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetStatus() == healthpb.HealthCheckResponse_SERVING
}

// grpc_health_probe, with which pods of Kubernetes check themselves, finds a server in each serving state as it finds
// one of bare grpc-go whose health service has that status, and after the shutdown no server.
func TestHealthProbe(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "grpc_health_probe")
	build := exec.CommandContext(t.Context(), "go", "-C", "../healthprobe", "build", "-o", binary,
		"github.com/grpc-ecosystem/grpc-health-probe")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	checks := health.NewServer()
	state := serving.New(serving.Config{Services: []string{service}}, serving.WithHealth(checks))
	chain, err := hauberk.Config{Drain: hauberk.Drain{Notice: time.Hour}}.New(state)
	if err != nil {
		t.Fatal(err)
	}
	srv, bare := chain.NewServer(), grpc.NewServer()
	ours, bares := serveProbed(t, checks, srv), serveProbed(t, health.NewServer(), bare)
	probe := func(p probed, service string) int {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), binary, "-addr="+p.addr, "-service="+service,
			"-connect-timeout=10s", "-rpc-timeout=10s")
		out, err := cmd.CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() < 0) {
			t.Fatalf("grpc_health_probe: %v\n%s", err, out)
		}
		return cmd.ProcessState.ExitCode()
	}
	set := func(to serving.State) func() {
		return func() {
			if err := state.Set(to); err != nil {
				t.Error(err)
			}
		}
	}
	stopping, stop := context.WithCancel(t.Context())
	defer stop()
	stopped := make(chan error, 1)
	for _, step := range []struct {
		name            string
		do              func()
		server, service int
	}{
		{"starting", func() {}, probeUnhealthy, probeUnhealthy},
		{"serving", set(serving.Serving), probeServing, probeServing},
		{"read-only", set(serving.ReadOnly), probeServing, probeServing},
		{"without a dependency", func() {
			checks.SetServingStatus(service, healthpb.HealthCheckResponse_NOT_SERVING)
		}, probeServing, probeUnhealthy},
		{"maintenance", set(serving.Maintenance), probeUnhealthy, probeUnhealthy},
		{"serving again", set(serving.Serving), probeServing, probeServing},
		{"draining", func() {
			go func() { stopped <- srv.Shutdown(stopping) }()
			<-srv.ShuttingDown()
			for isServing(t, checks) { // it follows at once
				runtime.Gosched()
			}
		}, probeUnhealthy, probeUnhealthy},
	} {
		step.do()
		statuses := map[int]healthpb.HealthCheckResponse_ServingStatus{
			probeServing: healthpb.HealthCheckResponse_SERVING, probeUnhealthy: healthpb.HealthCheckResponse_NOT_SERVING,
		}
		bares.checks.SetServingStatus("", statuses[step.server])
		bares.checks.SetServingStatus(service, statuses[step.service])
		wants := map[string]int{"": step.server, service: step.service}
		if step.name == "serving" {
			wants["unknown.Service"] = probeRPCFailed
		}
		for name, want := range wants {
			if got, bare := probe(ours, name), probe(bares, name); got != want || bare != want {
				t.Errorf("%s: exit code %d for the service %q, and %d with bare grpc-go; want %d", step.name, got, name, bare, want)
			}
		}
	}
	stop()
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	srv.Stop()
	if got := probe(ours, ""); got != probeNoServer {
		t.Errorf("exit code %d after the shutdown; want %d", got, probeNoServer)
	}
}
