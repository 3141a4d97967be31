// Package redistest starts Redis and Valkey servers for tests: on free ports of 127.0.0.1, with a
// temporary folder, ended with the test.
package redistest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for a server.
const patience = 30 * time.Second

// Server is a server process.
type Server struct {
	Addr string

	t       testing.TB
	program string
	args    []string
	env     []string
	cmd     *exec.Cmd
	ended   chan struct{}
	output  *bytes.Buffer
}

// Option changes how a server is started.
type Option func(s *Server)

// Args adds arguments, such as "--requirepass", "secret".
func Args(args ...string) Option { return func(s *Server) { s.args = append(s.args, args...) } }

// Env adds variables to the environment.
func Env(env ...string) Option { return func(s *Server) { s.env = append(s.env, env...) } }

// Program starts another program than redis-server.
func Program(path string) Option { return func(s *Server) { s.program = path } }

// Start starts a server and waits until it answers.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s := &Server{Addr: FreeAddr(t), t: t, program: "redis-server"}
	_, port, _ := net.SplitHostPort(s.Addr)
	s.args = []string{"--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--daemonize", "no"}
	for _, o := range opts {
		o(s)
	}
	s.Restart()
	t.Cleanup(s.Kill)
	return s
}

// FreeAddr returns an address on which no one listens, with a port that leaves room for the bus of a
// cluster.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := lis.Addr().(*net.TCPAddr).Port
		_ = lis.Close()
		if port < 55_000 {
			return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		}
	}
	t.Fatal("no free port below 55000")
	return ""
}

// Restart starts the server again, without data, and waits until it answers.
func (s *Server) Restart() {
	s.t.Helper()
	path, err := exec.LookPath(s.program)
	if err != nil {
		s.t.Fatalf("%v; install it with scripts/ensure.sh redis-server", err)
	}
	s.output = new(bytes.Buffer)
	s.cmd = exec.CommandContext(context.Background(), path, s.args...)
	s.cmd.Env = append(os.Environ(), s.env...)
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended, cmd := make(chan struct{}), s.cmd
	s.ended = ended
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	Eventually(s.t, "the server answers", func() bool {
		select {
		case <-ended:
			s.t.Fatalf("the server ended: %s", s.output)
		default:
		}
		_, err := Do(s.Addr, "PING")
		var reply replyError
		return err == nil || errors.As(err, &reply) // such as NOAUTH
	})
}

// Kill ends the process at once. It may be called again.
func (s *Server) Kill() {
	s.signal(syscall.SIGCONT)
	s.signal(syscall.SIGKILL)
	<-s.ended
}

// Pause stops the process until Resume: it keeps its connections and does not answer.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume continues the process.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	select {
	case <-s.ended:
	default:
		_ = s.cmd.Process.Signal(sig)
	}
}

// Do sends a command and returns its answer as text, lists with one element a line.
func (s *Server) Do(args ...string) string {
	s.t.Helper()
	answer, err := Do(s.Addr, args...)
	if err != nil {
		s.t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return answer
}

// replyError is an error that the server has answered.
type replyError string

func (e replyError) Error() string { return string(e) }

// Do sends a command on a new connection.
func Do(addr string, args ...string) (string, error) {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if err := Write(conn, args...); err != nil {
		return "", err
	}
	return read(bufio.NewReader(conn))
}

// Write writes a command.
func Write(w io.Writer, args ...string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func read(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", errors.New("an empty answer")
	}
	n, _ := strconv.Atoi(line[1:])
	switch line[0] {
	case '-':
		return "", replyError(line[1:])
	case '$':
		if n < 0 {
			return "", nil
		}
		text := make([]byte, n+2)
		_, err := io.ReadFull(r, text)
		return string(text[:n]), err
	case '*':
		var all []string
		for range n {
			element, err := read(r)
			if err != nil {
				return "", err
			}
			all = append(all, element)
		}
		return strings.Join(all, "\n"), nil
	default:
		return line[1:], nil
	}
}

// Eventually waits until a condition holds.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// Cluster starts three servers that are a cluster.
func Cluster(t testing.TB) []*Server {
	t.Helper()
	nodes := make([]*Server, 0, 3)
	for i := range 3 {
		s := Start(t, Args("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--appendonly", "no"))
		s.Do("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		from, to := []string{"0", "5461", "10923"}[i], []string{"5460", "10922", "16383"}[i]
		s.Do("CLUSTER", "ADDSLOTSRANGE", from, to)
		nodes = append(nodes, s)
	}
	for _, s := range nodes[1:] {
		host, port, _ := net.SplitHostPort(s.Addr)
		nodes[0].Do("CLUSTER", "MEET", host, port)
	}
	for _, s := range nodes {
		Eventually(t, "the cluster is complete", func() bool {
			info := s.Do("CLUSTER", "INFO")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		})
	}
	return nodes
}

// Sentinel starts a Sentinel that watches a primary under a name, and fails over after half a second.
func Sentinel(t testing.TB, name string, primary *Server) *Server {
	t.Helper()
	s := &Server{Addr: FreeAddr(t), t: t, program: "redis-server"}
	host, port, _ := net.SplitHostPort(primary.Addr)
	_, own, _ := net.SplitHostPort(s.Addr)
	dir := t.TempDir()
	file := filepath.Join(dir, "sentinel.conf")
	config := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor %s %s %s 1\n"+
		"sentinel down-after-milliseconds %[3]s 500\nsentinel failover-timeout %[3]s 5000\n",
		own, dir, name, host, port)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = []string{file, "--sentinel"}
	s.Restart()
	t.Cleanup(s.Kill)
	return s
}
