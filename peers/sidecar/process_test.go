package sidecar

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// patience is the limit for each wait. No wait is expected to take nearly as long.
const patience = 2 * time.Minute

var scratch string // the folder of the built programs

func TestMain(m *testing.M) {
	code := m.Run()
	if scratch != "" {
		_ = os.RemoveAll(scratch)
	}
	os.Exit(code)
}

// programs builds etcd, etcdctl and hauberk, once, and returns their folder.
var programs = sync.OnceValues(func() (dir string, err error) {
	if scratch, err = os.MkdirTemp("", "hauberk-etcd"); err != nil {
		return "", err
	}
	for _, args := range [][]string{
		{"build", "-o", filepath.Join(scratch, "etcd"), "go.etcd.io/etcd/server/v3"},
		{"build", "-o", filepath.Join(scratch, "etcdctl"), "go.etcd.io/etcd/etcdctl/v3"},
		{"-C", filepath.Join("..", ".."), "build", "-o", filepath.Join(scratch, "hauberk"), "./cmd/hauberk"},
	} {
		if out, err := exec.CommandContext(context.Background(), "go", args...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return scratch, nil
})

func program(t *testing.T, name string) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// process is a running program. It is killed when the test ends, at the latest.
type process struct {
	cmd    *exec.Cmd
	ended  chan struct{}
	err    error // set before ended is closed
	killed bool

	mu    sync.Mutex
	lines []string // of its standard error
	more  chan struct{}
}

// run starts a program.
func run(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), ended: make(chan struct{}), more: make(chan struct{})}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		for scanner := bufio.NewScanner(stderr); scanner.Scan(); {
			p.mu.Lock()
			p.lines = append(p.lines, scanner.Text())
			close(p.more)
			p.more = make(chan struct{})
			p.mu.Unlock()
		}
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(p.kill)
	return p
}

// kill kills the process with SIGKILL. Further calls have no effect.
func (p *process) kill() {
	p.killed = true
	_ = p.cmd.Process.Kill()
	<-p.ended
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// says waits for a line that matches and returns its first group.
func (p *process) says(t *testing.T, pattern string) string {
	t.Helper()
	re, late := regexp.MustCompile("(?m)"+pattern), time.After(patience)
	for {
		p.mu.Lock()
		text, more := strings.Join(p.lines, "\n"), p.more
		p.mu.Unlock()
		if m := re.FindStringSubmatch(text); m != nil {
			return m[1]
		}
		select {
		case <-more:
		case <-p.ended:
			t.Fatalf("the process ended with %v:\n%s", p.err, text)
		case <-late:
			t.Fatalf("the process does not write %q:\n%s", pattern, text)
		}
	}
}

// world is a running etcd, and what its clients connect to: the sidecar or etcd itself.
type world struct {
	dir     string // of etcd's data
	peer    string // address for other members
	backend string // address of etcd
	addr    string // for clients
	etcd    *process
	sidecar *process // nil without
}

// inBoth runs a test without the sidecar and with it.
func inBoth(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	for _, through := range []bool{false, true} {
		name := "direct"
		if through {
			name = "frames"
		}
		t.Run(name, func(t *testing.T) {
			w := &world{dir: t.TempDir(), peer: freeAddr(t), backend: freeAddr(t)}
			w.startEtcd(t)
			w.addr = w.backend
			if through {
				w.startSidecar(t, "127.0.0.1:0")
			}
			test(t, w)
		})
	}
}

// freeAddr returns an address of this machine on which nothing listens.
func freeAddr(t *testing.T) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lis.Close() }()
	return lis.Addr().String()
}

// startEtcd starts etcd, and waits until it serves.
func (w *world) startEtcd(t *testing.T) {
	t.Helper()
	w.etcd = run(t, program(t, "etcd"), "--name=one", "--data-dir="+w.dir, "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls=http://"+w.backend, "--advertise-client-urls=http://"+w.backend,
		"--listen-peer-urls=http://"+w.peer, "--initial-advertise-peer-urls=http://"+w.peer,
		"--initial-cluster=one=http://"+w.peer)
	cli := connect(t, w.backend)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := cli.Status(ctx, w.backend); err != nil {
		t.Fatalf("etcd does not serve: %v\n%s", err, w.etcd.output())
	}
}

// startSidecar starts the sidecar. If it is alive at the end of the test, it ends with exit code 0.
func (w *world) startSidecar(t *testing.T, listen string, flags ...string) {
	t.Helper()
	w.sidecar = run(t, program(t, "hauberk"), append([]string{
		"run", "--transport", "frames", "--listen", listen, "--upstream", w.backend, "--max-message-size", "64MiB",
	}, flags...)...)
	p := w.sidecar
	t.Cleanup(func() { p.end(t) })
	w.addr = p.says(t, `^hauberk: listening on (\S+), `)
}

// end ends a sidecar that the test has not killed.
func (p *process) end(t *testing.T) {
	t.Helper()
	if p.killed {
		return
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("the sidecar has ended: %v", err)
	}
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Error("the sidecar does not end")
		p.kill()
	}
	if p.err != nil || t.Failed() {
		t.Errorf("the sidecar ended with %v:\n%s", p.err, p.output())
	}
}

// client returns a client of the world.
func (w *world) client(t *testing.T) *clientv3.Client {
	t.Helper()
	return connect(t, w.addr)
}

func connect(t *testing.T, addr string) *clientv3.Client {
	t.Helper()
	cli, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"http://" + addr}, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.WaitForReady(true))},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cli.Close(); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return cli
}

// etcdctl runs etcdctl and returns its output. It fails the test unless the exit code is 0.
func (w *world) etcdctl(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t, "etcdctl"), append([]string{"--endpoints=http://" + w.addr}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("etcdctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
