package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"text/template"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// limitsOf is a file of limits. The services of the tests have more than any other limit. The limits
// are per day: no permit returns during a test.
func limitsOf(user, mode string) string {
	return `
headers: ratelimit
overrides: true
limits:
  - domain: shop
    descriptors:
      - key: user
        limit: ` + user + `/24h
        mode: ` + mode + `
      - {key: user, value: free, unlimited: true}
      - key: service
        limit: 10000/24h
        algorithm: fixed_window
      - key: batch
        limit: 10/24h
        algorithm: sliding_window
      - {key: tokens, limit: 10/24h, charge_rejected: true}
      - key: tenant
        descriptors:
          - {key: path, limit: 2/24h, name: paths}
          - {key: path, value: /grpc.testing.TestService/UnaryCall, limit: 1/24h}
`
}

// ratelimitService starts `hauberk ratelimit-service` with a file of limits.
func ratelimitService(t *testing.T, limits string, flags ...string) (p *process, address, file string) {
	t.Helper()
	return ratelimitServiceIn(t, limits, nil, flags...)
}

// ratelimitServiceIn starts it with further files in the folder of that file.
func ratelimitServiceIn(
	t *testing.T, limits string, files map[string]string, flags ...string,
) (p *process, address, file string) {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range files {
		writeFile(t, filepath.Join(dir, name), text)
	}
	file = filepath.Join(dir, "limits.yaml")
	writeFile(t, file, limits)
	args := append([]string{"ratelimit-service", "--config", file, "--listen", "127.0.0.1:0"}, flags...)
	p = start(t, nil, binary, args...)
	address = p.says(t, `^hauberk: listening on (127\.0\.0\.1:\d+), \d+ limits$`)
	return p, address, file
}

func writeFile(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startEnvoy starts an Envoy between clients, an upstream and a rate limit service, and returns the
// addresses of its listeners.
func startEnvoy(t *testing.T, upstream, limits string) (listeners map[string]string) {
	t.Helper()
	python := must(t, "./python-env.sh", "envoy")
	binary := must(t, python, "-c", "import envoy._bin, os; print(os.path.join(envoy._bin.__path__[0], 'envoy'))")
	port := func(address string) string {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		return port
	}
	dir := t.TempDir()
	config, err := os.Create(filepath.Join(dir, "envoy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer config.Close()
	if err := template.Must(template.ParseFiles("envoy/envoy.yaml.tmpl")).Execute(config, map[string]any{
		"Listeners": map[string][]string{
			"closed": {"failure_mode_deny: true", "rate_limited_as_resource_exhausted: true"},
			"open":   {"failure_mode_deny: false"},
		},
		"Clusters": map[string]string{"upstream": port(upstream), "ratelimit": port(limits)},
	}); err != nil {
		t.Fatal(err)
	}
	adminFile := filepath.Join(dir, "admin")
	envoy := start(t, nil, binary, "-c", config.Name(), "--admin-address-path", adminFile,
		"--disable-hot-restart", "--concurrency", "2", "--log-level", "info", "--log-format", "%v")
	envoy.says(t, `^(all dependencies initialized\. starting workers)$`)
	admin, err := os.ReadFile(adminFile)
	if err != nil {
		t.Fatal(err)
	}
	return listenersOf(t, string(admin))
}

// listenersOf asks an Envoy for the addresses of its listeners, by their names.
func listenersOf(t *testing.T, admin string) map[string]string {
	t.Helper()
	resp, err := http.Get("http://" + admin + "/listeners?format=json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var found struct {
		Listeners []struct {
			Name    string `json:"name"`
			Address struct {
				Socket struct {
					Address string `json:"address"`
					Port    int    `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&found); err != nil {
		t.Fatal(err)
	}
	listeners := make(map[string]string)
	for _, l := range found.Listeners {
		listeners[l.Name] = fmt.Sprintf("%s:%d", l.Address.Socket.Address, l.Address.Socket.Port)
	}
	return listeners
}

// counter is an upstream that counts the calls that reach it.
type counter struct {
	testgrpc.UnimplementedTestServiceServer

	calls atomic.Int64
}

func (c *counter) UnaryCall(context.Context, *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	c.calls.Add(1)
	return &testgrpc.SimpleResponse{}, nil
}

func (c *counter) StreamingInputCall(stream testgrpc.TestService_StreamingInputCallServer) error {
	c.calls.Add(1)
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return stream.SendAndClose(&testgrpc.StreamingInputCallResponse{})
		} else if err != nil {
			return err
		}
	}
}

func (c *counter) StreamingOutputCall(_ *testgrpc.StreamingOutputCallRequest, stream testgrpc.TestService_StreamingOutputCallServer) error {
	c.calls.Add(1)
	return stream.Send(&testgrpc.StreamingOutputCallResponse{})
}

func (c *counter) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	c.calls.Add(1)
	return service{}.FullDuplexCall(stream)
}

// serve serves until the test ends.
func (c *counter) serve(t *testing.T) (address string) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(srv, c)
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(srv.Stop)
	return lis.Addr().String()
}

// kinds make a call of each kind to its end.
var kinds = map[string]func(ctx context.Context, client testgrpc.TestServiceClient) error{
	"unary": func(ctx context.Context, client testgrpc.TestServiceClient) error {
		_, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{})
		return err
	},
	"client stream": func(ctx context.Context, client testgrpc.TestServiceClient) error {
		stream, err := client.StreamingInputCall(ctx)
		if err != nil {
			return err
		}
		_, err = stream.CloseAndRecv()
		return err
	},
	"server stream": func(ctx context.Context, client testgrpc.TestServiceClient) error {
		stream, err := client.StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{})
		if err != nil {
			return err
		}
		_, err = stream.Recv()
		return err
	},
	"bidi": func(ctx context.Context, client testgrpc.TestServiceClient) error {
		stream, err := client.FullDuplexCall(ctx)
		if err != nil {
			return err
		}
		err = again(stream)
		if errors.Is(err, io.EOF) { // Recv has the status
			_, err = stream.Recv()
		}
		return err
	},
}

func as(t *testing.T, pairs ...string) context.Context {
	t.Helper()
	return metadata.AppendToOutgoingContext(t.Context(), pairs...)
}

// floodAs makes calls concurrently and returns how many succeeded; the others must end with a code.
func floodAs(ctx context.Context, t *testing.T, client testgrpc.TestServiceClient, calls int, want codes.Code,
	call func(context.Context, testgrpc.TestServiceClient) error,
) int64 {
	t.Helper()
	var succeeded atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range calls / 4 {
				switch err := call(ctx, client); status.Code(err) {
				case codes.OK:
					succeeded.Add(1)
				case want:
				default:
					t.Errorf("%v; want OK or %v", err, want)
				}
			}
		})
	}
	all.Wait()
	return succeeded.Load()
}

// An Envoy admits exactly as many calls of each kind as the limits in the file say. Its clients
// receive the status that it is configured for.
func TestEnvoyRateLimit(t *testing.T) {
	backend := new(counter)
	_, limits, _ := ratelimitService(t, limitsOf("10", "enforce"))
	listeners := startEnvoy(t, backend.serve(t), limits)
	closed, open := dial(t, listeners["closed"]), dial(t, listeners["open"])
	unary := kinds["unary"]

	for name, call := range kinds {
		t.Run(name, func(t *testing.T) {
			before := backend.calls.Load()
			n := floodAs(as(t, "x-user", name), t, closed, 40, codes.ResourceExhausted, call)
			if reached := backend.calls.Load() - before; n != 10 || reached != 10 {
				t.Errorf("%d calls succeeded, %d reached the server; want 10", n, reached)
			}
		})
	}
	t.Run("the default status", func(t *testing.T) {
		if n := floodAs(as(t, "x-user", "dora"), t, open, 40, codes.Unavailable, unary); n != 10 {
			t.Errorf("%d calls succeeded; want 10", n)
		}
	})
	t.Run("unlimited", func(t *testing.T) {
		if n := floodAs(as(t, "x-user", "free"), t, closed, 40, codes.OK, unary); n != 40 {
			t.Errorf("%d calls succeeded; want all", n)
		}
	})
	t.Run("hits", func(t *testing.T) {
		if n := floodAs(as(t, "x-batch", "b"), t, closed, 20, codes.ResourceExhausted, unary); n != 3 {
			t.Errorf("%d calls of 3 hits succeeded; want 3 of 10 hits", n)
		}
	})
	// Envoy counts 7 hits of 10 at the end of each call, without waiting for the answer: the second
	// request is for more than remains, and nevertheless counts.
	t.Run("hits at the end", func(t *testing.T) {
		for range 1000 {
			switch err := unary(as(t, "x-tokens", "t"), closed); status.Code(err) {
			case codes.OK:
			case codes.ResourceExhausted:
				return
			default:
				t.Fatal(err)
			}
		}
		t.Error("1000 calls succeeded")
	})
	t.Run("a limit of the request", func(t *testing.T) {
		if n := floodAs(as(t, "x-plan", "small"), t, closed, 20, codes.ResourceExhausted, unary); n != 4 {
			t.Errorf("%d calls succeeded; want 4", n)
		}
	})
	t.Run("nested", func(t *testing.T) {
		tenant := as(t, "x-tenant", "acme")
		if n := floodAs(tenant, t, closed, 8, codes.ResourceExhausted, unary); n != 1 {
			t.Errorf("%d unary calls succeeded; want 1 by the path", n)
		}
		if n := floodAs(tenant, t, closed, 8, codes.ResourceExhausted, kinds["bidi"]); n != 2 {
			t.Errorf("%d streams succeeded; want 2 by other paths", n)
		}
	})
	// Rejected calls took nothing of the other limit of their request.
	t.Run("all or nothing", func(t *testing.T) {
		var header metadata.MD
		if _, err := closed.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}, grpc.Header(&header)); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprint(10000 - backend.calls.Load())
		if got := header.Get("x-ratelimit-remaining"); len(got) != 1 || got[0] != want {
			t.Errorf("x-ratelimit-remaining is %q; want %s, since %d calls were admitted", got, want, backend.calls.Load())
		}
	})
}

// Clients see the headers of Envoy and those of the service.
func TestEnvoyHeaders(t *testing.T) {
	backend := new(counter)
	_, limits, _ := ratelimitService(t, limitsOf("2", "enforce"))
	client := dial(t, startEnvoy(t, backend.serve(t), limits)["closed"])
	call := func() metadata.MD {
		var header, trailer metadata.MD
		_, _ = client.UnaryCall(as(t, "x-user", "alice"), &testgrpc.SimpleRequest{}, grpc.Header(&header), grpc.Trailer(&trailer))
		return metadata.Join(header, trailer)
	}
	wantHeaders := func(got metadata.MD, want map[string]string) {
		t.Helper()
		for key, value := range want {
			if v := got.Get(key); len(v) != 1 || !strings.HasPrefix(v[0], value) {
				t.Errorf("%s is %q; want %q", key, v, value)
			}
		}
	}
	wantHeaders(call(), map[string]string{
		"x-ratelimit-limit": "2, 2;w=86400", "x-ratelimit-remaining": "1", "x-ratelimit-reset": "432", // half a day
		"ratelimit-policy": `"_user_";q=2;w=86400, "_service_";q=10000;w=86400`, "ratelimit": `"_user_";r=1;t=432`,
	})
	call()
	wantHeaders(call(), map[string]string{
		"x-ratelimit-limit": "2, 2;w=86400", "x-ratelimit-remaining": "0", "x-envoy-ratelimited": "true",
		"ratelimit": `"_user_";r=0;t=86`,
	})
}

// SIGHUP reads the file again: limits that are the same keep their counts, and a file that is
// wrong changes nothing.
func TestRateLimitReload(t *testing.T) {
	backend := new(counter)
	p, limits, file := ratelimitService(t, limitsOf("5", "enforce"))
	client := dial(t, startEnvoy(t, backend.serve(t), limits)["closed"])
	flood := func(user string) int64 {
		return floodAs(as(t, "x-user", user), t, client, 20, codes.ResourceExhausted, kinds["unary"])
	}
	if n := flood("alice"); n != 5 {
		t.Fatalf("%d calls succeeded; want 5", n)
	}
	writeFile(t, file, limitsOf("none", "enforce"))
	p.signal(t, syscall.SIGHUP)
	p.says(t, `^hauberk: .*limits\.yaml:(8:16): limit is "none/24h"; want a number and a time`)
	p.says(t, `^hauberk: (not reloaded); the limits remain as they were$`)
	if n := flood("alice"); n != 0 {
		t.Errorf("after a bad file %d calls succeeded; want none", n)
	}
	writeFile(t, file, limitsOf("5", "shadow"))
	p.signal(t, syscall.SIGHUP)
	p.says(t, `^hauberk: (reloaded) .*limits\.yaml, 6 limits$`)
	if n := flood("alice"); n != 20 {
		t.Errorf("in shadow mode %d calls succeeded; want all", n)
	}
	writeFile(t, file, limitsOf("5", "enforce")+"  - domain: other\n    descriptors: [{key: new, limit: 1/1s}]\n")
	p.signal(t, syscall.SIGHUP)
	p.says(t, `^hauberk: (reloaded) .*limits\.yaml, 7 limits$`)
	if n := flood("alice"); n != 0 {
		t.Errorf("after the reload %d calls succeeded; want none, since the counts are kept", n)
	}
	if n := flood("bob"); n != 5 {
		t.Errorf("another user: %d calls succeeded; want 5", n)
	}
}

// SIGTERM turns the health service to NOT_SERVING and drains. What Envoys then do is theirs:
// they admit calls or not, as configured.
func TestRateLimitStop(t *testing.T) {
	backend := new(counter)
	p, limits, _ := ratelimitService(t, limitsOf("5", "enforce"), "--telemetry", "127.0.0.1:0")
	metrics := p.says(t, `^hauberk: metrics at (http://\S+)$`)
	listeners := startEnvoy(t, backend.serve(t), limits)
	closed, open := dial(t, listeners["closed"]), dial(t, listeners["open"])
	floodAs(as(t, "x-user", "alice"), t, closed, 20, codes.ResourceExhausted, kinds["unary"])
	page := get(t, metrics)
	for _, want := range []string{
		`hauberk_ratelimit_service_decisions_total{decision="ok",descriptor="\"user\"",domain="shop"} 5`,
		`hauberk_ratelimit_service_decisions_total{decision="over_limit",descriptor="\"user\"",domain="shop"} 15`,
		`hauberk_ratelimit_service_keys{descriptor="\"user\"",domain="shop"} 1`,
		`grpc_server_handled_total{grpc_code="OK",grpc_method="ShouldRateLimit",grpc_service="envoy.service.ratelimit.v3.RateLimitService",grpc_type="unary"} 20`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}

	conn, err := grpc.NewClient(limits, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	watch, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{
		Service: "envoy.service.ratelimit.v3.RateLimitService",
	})
	if err != nil {
		t.Fatal(err)
	}
	if h, err := watch.Recv(); err != nil || h.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health %v, %v; want SERVING", h, err)
	}
	if err := p.stop(t); err != nil {
		t.Errorf("the service ended with %v", err)
	}
	if h, err := watch.Recv(); err == nil && h.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health %v; want NOT_SERVING", h)
	}
	p.says(t, `^hauberk: (stopped); 25 descriptors within their limits, 15 over$`)
	if err := kinds["unary"](as(t, "x-user", "alice"), open); err != nil {
		t.Errorf("without the service, failure_mode_deny: false: %v", err)
	}
	if err := kinds["unary"](as(t, "x-user", "alice"), closed); err == nil {
		t.Error("without the service, failure_mode_deny: true: the call succeeded")
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}
