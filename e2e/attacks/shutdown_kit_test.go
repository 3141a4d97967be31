package attacks_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// eachTransport runs a test with each transport of the sidecar, and gives it the flag.
func eachTransport(t *testing.T, test func(t *testing.T, flag string)) {
	t.Helper()
	for _, transport := range []string{"frames", "grpc"} {
		t.Run(transport, func(t *testing.T) { test(t, "--transport="+transport) })
	}
}

// Environment variables of a process that serves as a backend: the file of its ledger, and its address.
const (
	backendLedger = "HAUBERK_ATTACKS_LEDGER"
	backendAddr   = "HAUBERK_ATTACKS_ADDR"
)

// serveBackend serves calls until the process is killed. It writes the id of each call that it begins to the file of
// the ledger, so that the ledger outlives it.
func serveBackend(addr, path string) {
	ledger := must(os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600))
	lis := must(net.Listen("tcp", addr))
	_, _ = fmt.Fprintln(os.Stdout, lis.Addr())
	err := counting(func(id string) { _, _ = fmt.Fprintln(ledger, id) }).Serve(lis)
	panic(err)
}

// counting returns a server that reports the id of each call, and takes up to 20 ms for it.
func counting(began func(id string)) *grpc.Server {
	handle := func(ctx context.Context, s hauberktest.Stream) error {
		if id := metadata.ValueFromIncomingContext(ctx, callID); len(id) == 1 {
			began(id[0])
			select {
			case <-ctx.Done():
			case <-time.After(time.Duration(len(id[0])*7%21) * time.Millisecond):
			}
		}
		return hauberktest.Echo(ctx, s)
	}
	srv := grpc.NewServer()
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{Handle: handle})
	return srv
}

// serveCounting serves in this process until the test ends.
func serveCounting(t *testing.T) (addr string, executed *executions) {
	t.Helper()
	executed = newExecutions()
	lis := must(net.Listen("tcp", "127.0.0.1:0"))
	srv := counting(func(id string) { executed.add(id) })
	stop := hauberktest.Serve(t, srv, lis)
	t.Cleanup(func() {
		stop()
	})
	return lis.Addr().String(), executed
}

// backend is a process that serves calls.
type backend struct {
	cmd  *exec.Cmd
	addr string
	path string // of the ledger
}

// startBackend starts a process that serves on an address.
func startBackend(t *testing.T, addr, path string) *backend {
	t.Helper()
	b := &backend{cmd: exec.Command(os.Args[0]), path: path}
	b.cmd.Env = append(os.Environ(), backendLedger+"="+path, backendAddr+"="+addr)
	b.cmd.Stderr = os.Stderr
	out := must(b.cmd.StdoutPipe())
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the backend does not listen on %s: %v", addr, err)
	}
	b.addr = strings.TrimSpace(line)
	return b
}

// kill kills the process with SIGKILL. Further calls have no effect.
func (b *backend) kill() {
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
}

// executed returns what all processes with the ledger have begun.
func (b *backend) executed(t *testing.T) *executions {
	t.Helper()
	all := newExecutions()
	for line := range strings.Lines(string(must(os.ReadFile(filepath.Clean(b.path))))) {
		all.add(strings.TrimSpace(line))
	}
	return all
}

// load makes calls of all kinds at a rate, each with its own id, until it is stopped.
type load struct {
	stop func() // waits for the calls that have begun

	mu     sync.Mutex
	errors map[string]error // of all calls, by id; nil for those with OK
	after  chan struct{}    // see await
	left   int
}

// startLoad makes calls through the connections in turn. At most 500 are in flight.
func startLoad(ctx context.Context, rate int, conns ...grpc.ClientConnInterface) *load {
	l := &load{errors: make(map[string]error)}
	stop, stopped := make(chan struct{}), make(chan struct{})
	l.stop = sync.OnceFunc(func() {
		close(stop)
		<-stopped
	})
	go func() {
		defer close(stopped)
		slots := make(chan struct{}, 500)
		var calls sync.WaitGroup
		defer calls.Wait()
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			slots <- struct{}{}
			calls.Go(func() {
				id := strings.Repeat("x", i%7) + fmt.Sprint(i)
				l.add(id, callOn(ctx, conns[i%len(conns)], kinds[i%len(kinds)], id, 2))
				<-slots
			})
		}
	}()
	return l
}

func (l *load) add(id string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errors[id] = err
	l.left--
	if l.left == 0 {
		close(l.after)
	}
}

// await waits until n more calls have ended.
func (l *load) await(n int) {
	l.mu.Lock()
	after := make(chan struct{})
	l.after, l.left = after, n
	l.mu.Unlock()
	<-after
}

// check stops the load. A call with OK was executed once, and a call that failed at most once, with UNAVAILABLE. It
// returns the number of calls and how many of them failed.
func (l *load) check(t *testing.T, executed *executions) (calls, failed int) {
	t.Helper()
	l.stop()
	wrong := 0
	for id, err := range l.errors {
		n := executed.of(id)
		if err != nil {
			failed++
			if failed == 1 {
				t.Logf("the call %s ended with %v", id, err)
			}
		}
		if err == nil && n == 1 || status.Code(err) == codes.Unavailable && n <= 1 {
			continue
		}
		wrong++
		if wrong <= 5 {
			t.Errorf("the call %s was executed %d times and ended with %v", id, n, err)
		}
	}
	if wrong > 5 {
		t.Errorf("%d calls ended in a wrong way", wrong)
	}
	return len(l.errors), failed
}
