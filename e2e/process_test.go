package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is the limit for each wait. It ends tests that would hang. No wait is expected to take
// nearly as long.
const patience = 2 * time.Minute

// process is a running program. It ends when the test ends, at the latest.
type process struct {
	cmd   *exec.Cmd
	name  string
	said  transcript
	ended chan struct{}
	err   error // the result of the program; set before ended is closed
}

// start starts a program and records its standard error. It records its standard output too,
// unless stdout receives it.
func start(t *testing.T, stdout io.Writer, name string, args ...string) *process {
	t.Helper()
	p := &process{name: filepath.Base(name), ended: make(chan struct{}), cmd: exec.Command(name, args...)}
	p.said.more = make(chan struct{})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr, p.cmd.Stdout = w, w
	if stdout != nil {
		p.cmd.Stdout = stdout
	}
	err = p.cmd.Start()
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	go p.follow(r)
	t.Cleanup(func() { _ = p.stop(t) })
	return p
}

// follow reads the program's output until the program has ended.
func (p *process) follow(r *os.File) {
	defer close(p.ended)
	defer r.Close()
	for scanner := bufio.NewScanner(r); scanner.Scan(); {
		p.said.add(scanner.Text())
	}
	p.err = p.cmd.Wait()
}

// transcript is the output of a program.
type transcript struct {
	mu    sync.Mutex
	lines []string
	more  chan struct{} // closed with the next line
}

func (s *transcript) add(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
	close(s.more)
	s.more = make(chan struct{})
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

// find returns the first group of the first line that matches, or a channel that is closed when
// there are more lines.
func (s *transcript) find(pattern *regexp.Regexp) (group string, more <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.lines {
		if m := pattern.FindStringSubmatch(line); m != nil {
			return m[1], nil
		}
	}
	return "", s.more
}

// says waits for a line that matches and returns its first group.
func (p *process) says(t *testing.T, pattern string) string {
	t.Helper()
	re, late := regexp.MustCompile(pattern), time.After(patience)
	for {
		group, more := p.said.find(re)
		if more == nil {
			return group
		}
		select {
		case <-more:
			continue
		case <-p.ended:
			if group, more := p.said.find(re); more == nil {
				return group
			}
			t.Fatalf("%s ended with %v without writing %q:\n%s", p.name, p.err, pattern, &p.said)
		case <-late:
			t.Fatalf("%s does not write %q:\n%s", p.name, pattern, &p.said)
		}
	}
}

// signal sends a signal to the program, unless it has ended.
func (p *process) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("%s: %v", p.name, err)
	}
}

// wait waits until the program has ended and returns its error.
func (p *process) wait(t *testing.T) error {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Errorf("%s does not end:\n%s", p.name, &p.said)
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	return p.err
}

// stop sends the program a signal to end and returns its error.
func (p *process) stop(t *testing.T) error {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	return p.wait(t)
}

// run runs a program to its end and returns its output.
func run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, failed.Stderr)
	}
	return string(out), err
}

// must is run for programs that prepare a test. An error fails the test.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := run(t.Context(), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// scratch is a folder for programs that the tests build. It is removed after the tests.
var scratch string

func TestMain(m *testing.M) { os.Exit(inScratch(m.Run)) }

func inScratch(run func() int) int {
	var err error
	if scratch, err = os.MkdirTemp("", "hauberk-e2e"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	return run()
}

// build builds the hauberk command, once.
var build = sync.OnceValues(func() (binary string, err error) {
	binary = filepath.Join(scratch, "hauberk")
	_, err = run(context.Background(), "go", "build", "-o", binary, "../cmd/hauberk")
	return binary, err
})

// sidecar starts `hauberk run` in front of an upstream and writes its log to log.
func sidecar(t *testing.T, log io.Writer, upstream string, flags ...string) (p *process, address string) {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"run", "--listen", "127.0.0.1:0", "--upstream", upstream}, flags...)
	p = start(t, log, binary, args...)
	address = p.says(t, `^hauberk: listening on (127\.0\.0\.1:\d+), upstream `+regexp.QuoteMeta(upstream)+`$`)
	return p, address
}

// transports are the values of the flag --transport.
var transports = []string{"grpc", "frames"}

// listening matches the address that a peer prints.
const listening = `^listening (127\.0\.0\.1:\d+)$`
