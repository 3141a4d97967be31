package attacks_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// TestMain removes the built sidecar at the end. In a process of startBackend it serves instead of tests.
func TestMain(m *testing.M) {
	if path := os.Getenv(backendLedger); path != "" {
		serveBackend(os.Getenv(backendAddr), path)
	}
	code := m.Run()
	if scratch != "" {
		_ = os.RemoveAll(scratch)
	}
	os.Exit(code)
}

var scratch string // the folder of the built sidecar

// build builds the hauberk command, once.
var build = sync.OnceValues(func() (string, error) {
	var err error
	if scratch, err = os.MkdirTemp("", "hauberk-attacks"); err != nil {
		return "", err
	}
	binary := filepath.Join(scratch, "hauberk")
	out, err := exec.CommandContext(context.Background(), "go", "build", "-o", binary, "../../cmd/hauberk").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return binary, err
})

// gate is the built sidecar, in front of a target.
type gate struct {
	backend *target
	addr    string
	metrics string // URL
	cmd     *exec.Cmd
	stderr  *lines
	stdout  *lines
	canary  testpb.TestServiceClient
	memory  int64         // how much more memory it may use during an attack, in bytes
	ended   chan struct{} // closed after err is set
	err     error         // the result of the process
}

// lines is the output of a process.
type lines struct {
	mu   sync.Mutex
	all  bytes.Buffer
	more chan struct{} // has an element after a line
}

func (l *lines) read(r io.Reader) {
	for scanner := bufio.NewScanner(r); scanner.Scan(); {
		l.mu.Lock()
		fmt.Fprintln(&l.all, scanner.Text())
		l.mu.Unlock()
		select {
		case l.more <- struct{}{}:
		default:
		}
	}
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// find waits for a line that matches, and returns its first group.
func (l *lines) find(t *testing.T, pattern string) string {
	t.Helper()
	re, late := regexp.MustCompile(pattern), time.After(time.Minute)
	for {
		if m := re.FindStringSubmatch(l.String()); m != nil {
			return m[1]
		}
		select {
		case <-l.more:
		case <-late:
			t.Fatalf("no line matches %q", pattern)
		}
	}
}

// sidecar starts the sidecar in front of a target, with a canary. shell is put before its command line, such as
// "ulimit -n 100;".
func sidecar(t *testing.T, shell string, flags ...string) *gate {
	t.Helper()
	backend := serve(t, hauberk.Config{}, nil)
	g := launch(t, shell, append([]string{"--upstream", backend.addr}, flags...)...)
	g.backend = backend
	t.Cleanup(func() { g.stop(t) })
	g.canary = testpb.NewTestServiceClient(g.dial(t))
	if _, err := g.canary.Unary(t.Context(), &testpb.Request{}); err != nil {
		t.Fatal(err)
	}
	return g
}

// launch starts the sidecar. It is killed at the end of the test, if it has not ended.
func launch(t *testing.T, shell string, flags ...string) *gate {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{
		memory: 64 << 20,
		stderr: &lines{more: make(chan struct{}, 1)}, stdout: &lines{more: make(chan struct{}, 1)},
		ended: make(chan struct{}),
	}
	g.cmd = exec.Command("sh", append([]string{
		"-c", shell + ` exec "$0" "$@"`, binary, "run", "--listen", "127.0.0.1:0", "--telemetry", "127.0.0.1:0",
	}, flags...)...)
	stdout, stderr := must(g.cmd.StdoutPipe()), must(g.cmd.StderrPipe())
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(g.ended)
		var read sync.WaitGroup
		read.Go(func() { g.stdout.read(stdout) })
		read.Go(func() { g.stderr.read(stderr) })
		read.Wait()
		g.err = g.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = g.cmd.Process.Kill()
		<-g.ended
	})
	g.metrics = g.stderr.find(t, `(?m)^hauberk: metrics at (\S+)$`)
	g.addr = g.stderr.find(t, `(?m)^hauberk: listening on (\S+), `)
	return g
}

// dial returns a connection to the sidecar. It connects again after at most 20 ms.
func (g *gate) dial(t *testing.T, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	opts = append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithConnectParams(grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 10 * time.Millisecond, MaxDelay: 20 * time.Millisecond, Multiplier: 1},
		MinConnectTimeout: 20 * time.Second,
	}))
	conn, err := grpc.NewClient(g.addr, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// signal sends a signal to the sidecar, which must be alive.
func (g *gate) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := g.cmd.Process.Signal(sig); err != nil {
		t.Errorf("the sidecar has ended before %v: %v", sig, err)
	}
}

// wait waits until the sidecar has ended, and returns its error. It must not have panicked.
func (g *gate) wait(t *testing.T) error {
	t.Helper()
	select {
	case <-g.ended:
	case <-time.After(40 * time.Second):
		t.Error("the sidecar does not end")
		_ = g.cmd.Process.Signal(syscall.SIGQUIT)
		<-g.ended
	}
	if strings.Contains(g.stderr.String(), "panic") || t.Failed() {
		t.Errorf("the sidecar wrote\n%s", g.stderr)
	}
	return g.err
}

// stop ends the sidecar. It must be alive, and ends with exit code 0.
func (g *gate) stop(t *testing.T) {
	t.Helper()
	g.signal(t, syscall.SIGTERM)
	if err := g.wait(t); err != nil {
		t.Errorf("the sidecar ended with %v", err)
	}
}

// attack runs an attack while a canary makes calls on its own connection. The canary loses no call,
// the memory of the sidecar stays bounded, and afterwards all goroutines of the attack end. It
// returns the calls that the backend executed, except for unary ones, which the canary makes.
func (g *gate) attack(t *testing.T, run func()) (executed []string) {
	t.Helper()
	quiet, running := g.rss(t, "VmRSS"), g.goroutines(t)
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", g.cmd.Process.Pid), []byte("5"), 0); err != nil {
		t.Logf("the peak of memory is that since the start: %v", err)
	}
	g.backend.ledger.take()
	ctx, cancel := context.WithCancel(t.Context())
	var canary sync.WaitGroup
	first := make(chan struct{}, 1)
	canary.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			if _, err := g.canary.Unary(t.Context(), &testpb.Request{Text: "canary"}); err != nil {
				t.Errorf("the canary lost a call: %v", err)
			}
			select {
			case first <- struct{}{}:
			default:
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	<-first
	run()
	cancel()
	canary.Wait()
	if peak := g.rss(t, "VmHWM"); peak > quiet+g.memory {
		t.Errorf("the sidecar used up to %d MiB, and %d MiB before", peak>>20, quiet>>20)
	}
	g.settle(t, running)
	for _, method := range g.backend.ledger.take() {
		if method != hauberktest.FullMethod(hauberk.Unary) {
			executed = append(executed, method)
		}
	}
	return executed
}

// rss returns a line of /proc/PID/status, in bytes.
func (g *gate) rss(t *testing.T, key string) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(key + `:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in\n%s", key, text)
	}
	return must(strconv.ParseInt(string(m[1]), 10, 64)) << 10
}

// metric returns the value of a metric.
func (g *gate) metric(t *testing.T, name string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.metrics, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in\n%s", name, text)
	}
	return int(must(strconv.ParseFloat(string(m[1]), 64)))
}

func (g *gate) goroutines(t *testing.T) int {
	t.Helper()
	return g.metric(t, "go_goroutines")
}

// wantMet fails the test unless a limit was met, and logged.
func (g *gate) wantMet(t *testing.T, limit string) {
	t.Helper()
	if n := g.metric(t, `hauberk_gateway_limits_total{limit="`+limit+`"}`); n == 0 {
		t.Errorf("the limit %s is not counted", limit)
	}
	g.stdout.find(t, `"msg":"limit reached","limit":"(`+limit+`)"`)
}

// settle waits until the sidecar has hardly more goroutines than before. 64 are workers that wait.
func (g *gate) settle(t *testing.T, before int) {
	t.Helper()
	most := before + before/20 + 64 + 10
	late, tick := time.After(20*time.Second), time.NewTicker(100*time.Millisecond)
	defer tick.Stop()
	for {
		n := g.goroutines(t)
		if n <= most {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Errorf("the sidecar has %d goroutines, and had %d before", n, before)
			return
		}
	}
}

// raw connects to the sidecar.
func (g *gate) raw(t *testing.T) *rawConn {
	t.Helper()
	return dialRaw(t, g.addr)
}

// end reads until a connection ends, and returns the last GOAWAY, or "closed" without one, or "open" if the
// connection does not end in time. It writes nothing.
func (c *rawConn) end() string {
	for last := "closed"; ; {
		frame, err := c.framer.ReadFrame()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return "open"
		}
		if err != nil {
			return last
		}
		if f, ok := frame.(*http2.GoAwayFrame); ok {
			last = fmt.Sprintf("GOAWAY %v %s", f.ErrCode, f.DebugData())
		}
	}
}

// wantAlive makes a call on a connection, which must succeed.
func (c *rawConn) wantAlive(t *testing.T) {
	t.Helper()
	stream, err := c.send(hauberktest.FullMethod(hauberk.Unary))
	if err != nil {
		t.Fatal(err)
	}
	for {
		ended, err := c.results(1)
		if err != nil {
			t.Fatalf("a call on the connection: %v", err)
		}
		if status, ok := ended[stream]; ok {
			if status != "0" {
				t.Errorf("a call on the connection ended with %q", status)
			}
			return
		}
	}
}
