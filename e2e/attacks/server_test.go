package attacks_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

const service = "hauberk.test.v1.TestService"

var kinds = []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}

// ledger records the calls that handlers have begun to execute.
type ledger struct {
	mu    sync.Mutex
	calls []string // the methods
}

func (l *ledger) add(method string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, method)
}

// take returns what was executed since the last call.
func (l *ledger) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	calls := l.calls
	l.calls = nil
	return calls
}

// wantNothing fails the test if a handler has executed anything.
func (l *ledger) wantNothing(t *testing.T) {
	t.Helper()
	if calls := l.take(); len(calls) > 0 {
		t.Errorf("%d calls were executed, such as %q; want none", len(calls), calls[0])
	}
}

// target is a server on 127.0.0.1 whose handlers write to a ledger.
type target struct {
	addr   string
	ledger *ledger
	conn   *grpc.ClientConn
}

// serve starts a server with a chain. register registers further services. Both may be nil.
func serve(t *testing.T, config hauberk.Config, register func(*hauberk.Server), interceptors ...hauberk.Interceptor) *target {
	t.Helper()
	return setup{config: config, register: register}.serve(t, interceptors...)
}

// setup is how a target is served and called. The zero value is without TLS.
type setup struct {
	config   hauberk.Config
	register func(*hauberk.Server)            // registers further services
	options  []grpc.ServerOption              // of the server
	creds    credentials.TransportCredentials // of the client
}

func (s setup) serve(t *testing.T, interceptors ...hauberk.Interceptor) *target {
	t.Helper()
	chain, err := s.config.New(interceptors...)
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := &target{addr: lis.Addr().String(), ledger: new(ledger)}
	srv := chain.NewServer(s.options...)
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		to.ledger.add(s.Method())
		return hauberktest.Echo(ctx, s)
	}})
	if s.register != nil {
		s.register(srv)
	}
	stop := hauberktest.Serve(t, srv, lis)
	if s.creds == nil {
		s.creds = insecure.NewCredentials()
	}
	to.conn, err = grpc.NewClient(to.addr, grpc.WithTransportCredentials(s.creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = to.conn.Close()
		stop()
	})
	return to
}

// over returns the target on another connection.
func (to *target) over(t *testing.T, creds credentials.TransportCredentials) *target {
	t.Helper()
	conn, err := grpc.NewClient(to.addr, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &target{to.addr, to.ledger, conn}
}

// call calls a method, sends a request, and receives until the call ends.
func (to *target) call(t *testing.T, method string, kind hauberk.Kind, text string, pairs ...string) error {
	t.Helper()
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), pairs...))
	defer cancel()
	desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: true}
	stream, err := to.conn.NewStream(ctx, desc, method)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(&testpb.Request{Text: text}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	_ = stream.CloseSend()
	for err == nil {
		err = stream.RecvMsg(new(testpb.Response))
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// wantCall calls the method of a kind and checks the status and the ledger.
func (to *target) wantCall(t *testing.T, kind hauberk.Kind, want codes.Code, text string, pairs ...string) {
	t.Helper()
	method := hauberktest.FullMethod(kind)
	if err := to.call(t, method, kind, text, pairs...); status.Code(err) != want {
		t.Errorf("%s with %q and %q: %v, want %s", method, text, pairs, err, want)
	}
	executed := to.ledger.take()
	if want == codes.OK && !slices.Equal(executed, []string{method}) || want != codes.OK && len(executed) > 0 {
		t.Errorf("%s with %q and %q: executed %q", method, text, pairs, executed)
	}
}

// login believes what the request metadata says about the caller. It represents
// authentication. "\n" in a value becomes a line break, which HTTP/2 cannot carry.
type login struct{}

func (login) Declare() hauberk.Declaration {
	return hauberk.Declaration{
		Name: "login", Phase: hauberk.PhaseAuthn, Sides: hauberk.OnlyServers,
		Writes: []hauberk.StateKey{hauberk.IdentityKey}, Authenticates: true,
	}
}

func (login) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	values := func(key string) []string {
		all := call.Metadata(ctx, key)
		for i := range all {
			all[i] = strings.ReplaceAll(all[i], `\n`, "\n")
		}
		return all
	}
	if subject := values("login"); len(subject) == 1 {
		hauberk.IdentityKey.Set(call, &hauberk.Identity{
			Subject: subject[0], Roles: values("login-role"), Scopes: values("login-scope"),
			Tenant: strings.Join(values("login-tenant"), ""),
		})
	}
	return next(ctx, call)
}

// soakTime returns the duration of a soak test, and skips it if there is none.
func soakTime(t *testing.T) time.Duration {
	t.Helper()
	length, err := time.ParseDuration(os.Getenv("HAUBERK_SOAK"))
	if err != nil {
		t.Skip("HAUBERK_SOAK holds no duration")
	}
	return length
}
