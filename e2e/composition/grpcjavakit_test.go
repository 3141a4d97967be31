//go:build java

package composition_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// javaServer is a grpc-java server: see e2e/grpcjava/TestServer.java. What it has executed is kept when it is started
// again.
type javaServer struct {
	t         *testing.T
	classPath string
	age       string // of connections, in milliseconds, or ""
	port      string
	cmd       *exec.Cmd
	ended     chan struct{} // its output has ended

	mu        sync.Mutex
	executed  map[string][]string // by call: the value of grpc-previous-rpc-attempts of each execution
	cancelled map[string]string   // by call: the number of the execution
}

// startJava starts a server until the test ends. age is the greatest age of connections, in milliseconds, or "".
func startJava(t *testing.T, age string) *javaServer {
	t.Helper()
	classPath, err := exec.CommandContext(t.Context(), "../java-env.sh").Output()
	if err != nil {
		t.Fatal(err)
	}
	s := &javaServer{
		t: t, classPath: strings.TrimSpace(string(classPath)), age: age, port: "0",
		executed: make(map[string][]string), cancelled: make(map[string]string),
	}
	s.start()
	t.Cleanup(s.kill)
	return s
}

// start starts the process, on the port that it had before.
func (s *javaServer) start() {
	s.t.Helper()
	args := []string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", s.classPath, "TestServer", s.port}
	if s.age != "" {
		args = append(args, s.age)
	}
	s.cmd = exec.CommandContext(context.Background(), "java", args...)
	var stderr strings.Builder
	s.cmd.Stderr = &stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		_ = s.cmd.Wait()
		s.t.Fatalf("the server has ended: %s", stderr.String())
	}
	_, s.port, _ = strings.Cut(lines.Text(), " ")
	ended := make(chan struct{})
	s.ended = ended
	go func() {
		defer close(ended)
		for lines.Scan() {
			s.note(strings.Fields(lines.Text()))
		}
	}()
}

// note notes a line of the server.
func (s *javaServer) note(fields []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(fields) == 4 && fields[0] == "executed":
		s.executed[fields[1]] = append(s.executed[fields[1]], fields[3])
	case len(fields) == 3 && fields[0] == "cancelled":
		s.cancelled[fields[1]] = fields[2]
	}
}

// kill ends the process at once, and waits until everything that it has executed is known.
func (s *javaServer) kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
	_ = s.cmd.Wait()
}

// executions returns the values of grpc-previous-rpc-attempts of the executions of a call.
func (s *javaServer) executions(id string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.executed[id])
}

// connect connects to the server with a chain, or without one.
func (s *javaServer) connect(opts []grpc.DialOption, interceptors ...hauberk.Interceptor) *grpc.ClientConn {
	s.t.Helper()
	opts = append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: 5 * time.Second}))
	if len(interceptors) > 0 {
		chain, err := hauberk.New(interceptors...)
		if err != nil {
			s.t.Fatal(err)
		}
		opts = append(opts, chain.DialOptions()...)
	}
	conn, err := grpc.NewClient("127.0.0.1:"+s.port, opts...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// javaCall makes a call with a request and metadata, and returns the responses.
func javaCall(
	ctx context.Context, conn *grpc.ClientConn, kind hauberk.Kind, id string, req *testpb.Request, md ...string,
) (all []*testpb.Response, err error) {
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(ctx, append(md, "call-id", id)...))
	defer cancel()
	if kind == hauberk.Unary {
		resp := new(testpb.Response)
		if err := conn.Invoke(ctx, hauberktest.FullMethod(kind), req, resp); err != nil {
			return nil, err
		}
		return []*testpb.Response{resp}, nil
	}
	desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
	stream, err := conn.NewStream(ctx, desc, hauberktest.FullMethod(kind))
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(req); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	_ = stream.CloseSend()
	for {
		resp := new(testpb.Response)
		switch err := stream.RecvMsg(resp); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return all, err
		}
		if all = append(all, resp); !kind.ServerStreams() {
			return all, nil
		}
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); {
		if time.Now().After(end) {
			t.Fatal("not within 30 s: ", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// javaLoad makes calls with some workers until stop is called, and reports each outcome.
func javaLoad(
	t *testing.T, conn *grpc.ClientConn, name string, ended func(kind hauberk.Kind, id string, all []*testpb.Response, err error),
) (stop func()) {
	t.Helper()
	var wg sync.WaitGroup
	done := make(chan struct{})
	for worker := range 8 {
		kind := kinds[worker%len(kinds)]
		wg.Go(func() {
			for i := range 5000 {
				select {
				case <-done:
					return
				default:
				}
				id := fmt.Sprintf("%s-%d-%d", name, worker, i)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				all, err := javaCall(ctx, conn, kind, id, &testpb.Request{Count: 3})
				cancel()
				ended(kind, id, all, err)
			}
		})
	}
	return sync.OnceFunc(func() {
		close(done)
		wg.Wait()
	})
}
