package reports_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/audit"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var kinds = []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}

// server is a server on a socket that counts the calls that reach a handler, and a connection to it.
type server struct {
	addr string
	conn *grpc.ClientConn

	mu    sync.Mutex
	users []string // of the calls
}

// setup is a server and its client. The zero value has no interceptors and echoes.
type setup struct {
	config hauberk.Config
	server []hauberk.Interceptor
	client []hauberk.Interceptor
	dial   []grpc.DialOption
	handle func(ctx context.Context, s hauberktest.Stream) error
}

// start starts a server and a client.
func (s setup) start(t *testing.T) *server {
	t.Helper()
	chain, err := s.config.New(s.server...)
	if err != nil {
		t.Fatal(err)
	}
	if s.handle == nil {
		s.handle = hauberktest.Echo
	}
	to := new(server)
	srv := chain.NewServer()
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{
		Handle: func(ctx context.Context, stream hauberktest.Stream) error {
			to.mu.Lock()
			to.users = append(to.users, authn.User.Or(ctx, "no one"))
			to.mu.Unlock()
			return s.handle(ctx, stream)
		},
	})
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop := hauberktest.Serve(t, srv, lis)
	to.addr = lis.Addr().String()
	s.dial = append(s.dial, grpc.WithTransportCredentials(insecure.NewCredentials()))
	options := hauberk.Must(hauberk.New(s.client...)).DialOptions(s.dial...)
	if to.conn, err = grpc.NewClient(to.addr, options...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = to.conn.Close()
		stop()
	})
	return to
}

// call makes a call of a kind with metadata, and returns its error.
func (s *server) call(ctx context.Context, kind hauberk.Kind, options []grpc.CallOption, pairs ...string) error {
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(ctx, pairs...))
	defer cancel()
	desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
	if kind == hauberk.Unary {
		return s.conn.Invoke(ctx, hauberktest.FullMethod(kind), new(testpb.Request), new(testpb.Response), options...)
	}
	stream, err := s.conn.NewStream(ctx, desc, hauberktest.FullMethod(kind), options...)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(new(testpb.Request)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	_ = stream.CloseSend()
	for err == nil {
		err = stream.RecvMsg(new(testpb.Response))
		if err == nil && !kind.ServerStreams() {
			return nil
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// handled returns the users of the calls that reached a handler since the last time.
func (s *server) handled() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	users := s.users
	s.users = nil
	return users
}

// wants makes a call of each kind, which must end with a code, and reach a handler only if that is OK.
func (s *server) wants(t *testing.T, name string, code codes.Code, pairs ...string) {
	t.Helper()
	for _, kind := range kinds {
		err := s.call(t.Context(), kind, nil, pairs...)
		if handled := s.handled(); status.Code(err) != code || (len(handled) == 1) != (code == codes.OK) {
			t.Errorf("%s, %v: %v, and %q reached the handler; want %v", name, kind, err, handled, code)
		}
	}
}

// recorded counts the lines, stages and panics of the records in a file, and has the length of its longest line.
func recorded(t *testing.T, path string) map[string]int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{"lines": bytes.Count(text, []byte("\n"))}
	for line := range bytes.Lines(text) {
		got["longest"] = max(got["longest"], len(line))
	}
	for r, err := range audit.Read(bytes.NewReader(text)) {
		if err != nil {
			t.Fatal(err)
		}
		got[r.Stage.String()]++
		if r.Panic {
			got["panic"]++
		}
	}
	return got
}
