package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/shop/shoppb"
)

// TestMain runs the program instead of the tests in processes that the tests start.
func TestMain(m *testing.M) {
	if os.Getenv("SHOP_PROCESS") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// command is a process of the program. It is killed when the test ends.
func command(t *testing.T, args ...string) (cmd *exec.Cmd, stderr *bytes.Buffer) {
	t.Helper()
	cmd, stderr = exec.CommandContext(t.Context(), os.Args[0], args...), new(bytes.Buffer)
	cmd.Env = append(os.Environ(), "SHOP_PROCESS=1")
	cmd.Stderr = stderr
	return cmd, stderr
}

// process is a running server with a client that alice may use.
type process struct {
	*exec.Cmd

	stderr *bytes.Buffer // read it after Wait
	addr   string
	scrape string // the URL of the metrics
	call   string // the grpcurl line
	conn   *grpc.ClientConn
	alice  context.Context
}

func serveProcess(t *testing.T, args ...string) process {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("processes receive no SIGTERM on Windows")
	}
	p := process{}
	p.Cmd, p.stderr = command(t, append([]string{"serve", "-dev", "-listen=127.0.0.1:0", "-metrics=127.0.0.1:0"}, args...)...)
	stdout, err := p.StdoutPipe()
	must(t, err)
	must(t, p.Start())
	lines := bufio.NewScanner(stdout)
	line := func() string { lines.Scan(); return lines.Text() }
	p.addr = strings.TrimPrefix(line(), "listening on ")
	p.scrape = strings.TrimPrefix(line(), "metrics on ")
	p.call = line()
	token := regexp.MustCompile(`Bearer ([^']+)`).FindStringSubmatch(p.call)
	if token == nil {
		t.Fatalf("serve -dev printed no token: %q", p.call)
	}
	p.alice = metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token[1], tenantHeader, "acme")
	p.conn, err = grpc.NewClient(p.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	t.Cleanup(func() { _ = p.conn.Close() })
	return p
}

// openStream opens a stream that the server has answered.
func (p process) openStream(t *testing.T) grpc.BidiStreamingClient[shoppb.QuoteRequest, shoppb.Quotation] {
	t.Helper()
	stream, err := shoppb.NewShopClient(p.conn).Quote(p.alice)
	must(t, err)
	must(t, stream.Send(&shoppb.QuoteRequest{Item: "tea", Count: 1}))
	_, err = stream.Recv()
	must(t, err)
	return stream
}

// TestShutdownWithAnOpenStream: a stream that outlasts the drain ends with a status that clients retry
// elsewhere, its span is exported with the name of the service, and the exit code is 0.
func TestShutdownWithAnOpenStream(t *testing.T) {
	p := serveProcess(t, "-notice=0", "-drain=10ms")
	stream := p.openStream(t)
	must(t, p.Process.Signal(syscall.SIGTERM))
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable || hauberk.Reason(err) != hauberk.ReasonShuttingDown {
		t.Errorf("the stream ended with %v, want UNAVAILABLE with %s", err, hauberk.ReasonShuttingDown)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("shop serve ended with %v", err)
	}
	for _, want := range []string{`Shop/Quote"`, `"service.name"`, `"shop"`} {
		if text := p.stderr.String(); !strings.Contains(text, want) {
			t.Errorf("%s is not in the spans and logs:\n%s", want, text)
		}
	}
}

// TestSignals: after the first signal the server reports NOT_SERVING and still accepts calls.
// The second one ends the process at once.
func TestSignals(t *testing.T) {
	p := serveProcess(t, "-notice=1h")
	p.openStream(t)
	watch, err := healthpb.NewHealthClient(p.conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	must(t, err)
	reported := func(want healthpb.HealthCheckResponse_ServingStatus) {
		resp, err := watch.Recv()
		must(t, err)
		if got := resp.GetStatus(); got != want {
			t.Fatalf("the health is %v, want %v", got, want)
		}
	}
	reported(healthpb.HealthCheckResponse_SERVING)
	must(t, p.Process.Signal(syscall.SIGTERM))
	reported(healthpb.HealthCheckResponse_NOT_SERVING)
	must(t, admitted(p.alice, shoppb.NewShopClient(p.conn)))
	must(t, p.Process.Signal(syscall.SIGTERM))
	if err := p.Wait(); err == nil || p.ProcessState.Exited() {
		t.Errorf("the second signal: %v, want the end of the process by the signal", err)
	}
}

// TestShutdownIsShort: a shutdown takes less than the 10 s after which docker stop kills.
func TestShutdownIsShort(t *testing.T) {
	if total := noticeTime + drainTime + cancelTime + flushTime; total >= 10*time.Second {
		t.Errorf("a shutdown takes up to %v", total)
	}
}

// TestPrinted: the call that serve -dev prints has the address of the server, and the metrics
// have series before the first call.
func TestPrinted(t *testing.T) {
	p := serveProcess(t)
	if !strings.HasSuffix(p.call, p.addr+" "+buyMethod) {
		t.Errorf("the server listens on %s and prints %s", p.addr, p.call)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.scrape, http.NoBody)
	must(t, err)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	text, err := io.ReadAll(resp.Body)
	must(t, errors.Join(err, resp.Body.Close()))
	for _, want := range []string{`grpc_method="Buy"`, "go_goroutines ", "process_start_time_seconds "} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s has no %s", p.scrape, want)
		}
	}
	// The bare call of the public method needs neither a token nor a tenant.
	must(t, list(t.Context(), shoppb.NewShopClient(p.conn)))
	if _, err := shoppb.NewShopClient(p.conn).Buy(t.Context(), nil); status.Code(err) != codes.Unauthenticated {
		t.Errorf("Buy without a token returned %v", err)
	}
	must(t, p.Process.Kill())
	_ = p.Wait()
}

// TestMistakes: wrong arguments end the program with exit code 1 and a text that says why.
func TestMistakes(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = taken.Close() }()
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return "-jwks=" + path
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"an unknown command":    {[]string{"sevre"}, `unknown command "sevre"` + "\nusage: "},
		"an argument":           {[]string{"serve", "-dev", "now"}, `unexpected argument "now"`},
		"no keys":               {[]string{"serve"}, "want -jwks"},
		"keys from two sources": {[]string{"serve", "-dev", "-jwks=x"}, "want -jwks"},
		"a missing file":        {[]string{"serve", "-jwks=missing.json"}, "missing.json"},
		"no JSON":               {[]string{"serve", file("text.json", "{")}, "text.json: it is not a JWK Set"},
		"an empty object":       {[]string{"serve", file("empty.json", "{}")}, `empty.json: it is not a JWK Set`},
		"an empty set":          {[]string{"serve", file("none.json", `{"keys": []}`)}, "none.json has 0 keys"},
		"no key for ES256":      {[]string{"serve", file("oct.json", `{"keys": [{"kty": "oct", "k": "AAAA"}]}`)}, "none of its 1 keys"},
		"a taken port":          {[]string{"serve", "-dev", "-listen=" + taken.Addr().String()}, "bind: "},
		"a taken port of metrics": {
			[]string{"serve", "-dev", "-listen=127.0.0.1:0", "-metrics=" + taken.Addr().String()}, "bind: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, stderr := command(t, test.args...)
			if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("the program ended with %v, want exit code 1", err)
			}
			if !strings.Contains(stderr.String(), test.want) {
				t.Errorf("the program printed %q, want %q", stderr.String(), test.want)
			}
		})
	}
}
