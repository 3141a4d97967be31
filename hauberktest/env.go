package hauberktest

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// Env is a server and its client, connected in memory. Create it with [Start], [Case.Start] or
// [Case.StartWith].
type Env struct {
	// Conn is the client's connection with its chain.
	Conn grpc.ClientConnInterface
	// Server is the server with its chain.
	Server *hauberk.Server
	// Client is the client's connection without its chain.
	Client *grpc.ClientConn

	kind hauberk.Kind
}

// Setup configures [Start]. The zero value is a server that echoes and a client, both without
// interceptors.
type Setup struct {
	// Backend is the test service. nil means a Backend that echoes.
	Backend *Backend
	// Server and Client are the chains. nil means a chain without interceptors.
	Server, Client *hauberk.Chain
	// ServerLive and ClientLive are chains that can be replaced, in place of Server and Client. nil means none.
	ServerLive, ClientLive *hauberk.Live
	// ServerOptions and DialOptions are further options of grpc-go.
	ServerOptions []grpc.ServerOption
	DialOptions   []grpc.DialOption
	// Register registers further services before the server starts. It may be nil.
	Register func(srv *hauberk.Server)
	// Kind is the kind of the method that Env.Call calls.
	Kind hauberk.Kind
}

// Start starts a server and a client. Both stop when the test ends.
func Start(t testing.TB, setup Setup) *Env {
	t.Helper()
	lis := bufconn.Listen(1 << 20)
	server, client := setup.chains()
	srv := server.NewServer(setup.ServerOptions...)
	backend := setup.Backend
	if backend == nil {
		backend = &Backend{}
	}
	testpb.RegisterTestServiceServer(srv, backend)
	if setup.Register != nil {
		setup.Register(srv)
	}
	if err := srv.Coverage().Err(); err != nil {
		srv.Stop()
		t.Fatalf("hauberktest: %v", err)
	}
	stop := Serve(t, srv, lis)

	dial := []grpc.DialOption{
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
	}
	if h := client.StatsHandler(hauberk.ClientSide); h != nil {
		dial = append(dial, grpc.WithStatsHandler(h))
	}
	conn, err := grpc.NewClient("passthrough:///bufconn", append(dial, setup.DialOptions...)...)
	if err != nil {
		t.Fatalf("hauberktest: %v", err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		stop()
	})
	return &Env{Conn: client.ClientConn(conn), Server: srv, Client: conn, kind: setup.Kind}
}

// attacher is a *hauberk.Chain or a *hauberk.Live.
type attacher interface {
	NewServer(opts ...grpc.ServerOption) *hauberk.Server
	ClientConn(conn grpc.ClientConnInterface) grpc.ClientConnInterface
	StatsHandler(side hauberk.Side) stats.Handler
}

// chains returns what is attached to both sides.
func (s Setup) chains() (server, client attacher) {
	server, client = orEmpty(s.Server), orEmpty(s.Client)
	if s.ServerLive != nil {
		server = s.ServerLive
	}
	if s.ClientLive != nil {
		client = s.ClientLive
	}
	return server, client
}

func orEmpty(c *hauberk.Chain) *hauberk.Chain {
	if c == nil {
		return hauberk.Must(hauberk.New())
	}
	return c
}

// Start starts a server that echoes and a client, with the interceptors on the side of the
// case. Both stop when the test ends.
func (c Case) Start(t testing.TB, interceptors ...hauberk.Interceptor) *Env {
	t.Helper()
	return c.StartWith(t, nil, interceptors...)
}

// StartWith is Start with a backend, which may be nil.
func (c Case) StartWith(t testing.TB, backend *Backend, interceptors ...hauberk.Interceptor) *Env {
	t.Helper()
	var config hauberk.Config
	if c.config != nil {
		config = *c.config
	}
	chain, err := config.New(interceptors...)
	if err != nil {
		t.Fatalf("hauberktest: %v", err)
	}
	setup := Setup{Backend: backend, Kind: c.Kind}
	if c.Side == hauberk.ServerSide {
		setup.Server = chain
	} else {
		setup.Client = chain
	}
	return Start(t, setup)
}

// Outcome is the result of a call for its caller.
type Outcome struct {
	// Responses are the received messages.
	Responses []*testpb.Response
	// Header and Trailer are the response metadata.
	Header, Trailer metadata.MD
	// Err is the call's error, from which status.FromError reads the status. It is nil for OK.
	Err error
}

// Texts returns the texts of the responses.
func (o Outcome) Texts() []string {
	texts := make([]string, 0, len(o.Responses))
	for _, r := range o.Responses {
		texts = append(texts, r.GetText())
	}
	return texts
}

// FullMethod returns the full name of the test service's method of kind k.
func FullMethod(k hauberk.Kind) string {
	switch k {
	case hauberk.ClientStream:
		return testpb.TestService_ClientStream_FullMethodName
	case hauberk.ServerStream:
		return testpb.TestService_ServerStream_FullMethodName
	case hauberk.Bidi:
		return testpb.TestService_Bidi_FullMethodName
	default:
		return testpb.TestService_Unary_FullMethodName
	}
}

// Call calls the method of the environment's kind and receives until the call ends. It sends a
// request for each of texts, or one with the text "hello" if there are none. A method with a
// single request sends only the first.
func (e *Env) Call(ctx context.Context, texts ...string) Outcome {
	if len(texts) == 0 {
		texts = []string{"hello"}
	}
	requests := make([]*testpb.Request, 0, len(texts))
	for _, text := range texts {
		requests = append(requests, &testpb.Request{Text: text})
	}
	return e.Do(ctx, FullMethod(e.kind), requests)
}

// Do calls a method of the environment's kind with call options and receives until the call
// ends. A method with a single request sends only the first of requests, of which there must be
// at least one.
func (e *Env) Do(ctx context.Context, method string, requests []*testpb.Request, opts ...grpc.CallOption) Outcome {
	if e.kind == hauberk.Unary {
		return e.invoke(ctx, method, requests[0], opts)
	}
	desc := &grpc.StreamDesc{ClientStreams: e.kind.ClientStreams(), ServerStreams: e.kind.ServerStreams()}
	if !desc.ClientStreams {
		requests = requests[:1]
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := e.Conn.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return Outcome{Err: err}
	}
	if err := send(stream, requests); err != nil {
		return Outcome{Err: err}
	}
	return receive(stream, desc.ServerStreams)
}

func (e *Env) invoke(ctx context.Context, method string, req *testpb.Request, opts []grpc.CallOption) Outcome {
	var out Outcome
	resp := new(testpb.Response)
	opts = append(opts, grpc.Header(&out.Header), grpc.Trailer(&out.Trailer))
	out.Err = e.Conn.Invoke(ctx, method, req, resp, opts...)
	if out.Err == nil {
		out.Responses = append(out.Responses, resp)
	}
	return out
}

// send sends all requests, unless the server has already ended the call, and closes.
func send(stream grpc.ClientStream, requests []*testpb.Request) error {
	for _, req := range requests {
		err := stream.SendMsg(req)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	return stream.CloseSend()
}

func receive(stream grpc.ClientStream, many bool) Outcome {
	var out Outcome
	for {
		resp := new(testpb.Response)
		if out.Err = stream.RecvMsg(resp); out.Err != nil {
			break
		}
		out.Responses = append(out.Responses, resp)
		if !many {
			break
		}
	}
	if errors.Is(out.Err, io.EOF) {
		out.Err = nil
	}
	out.Header, _ = stream.Header()
	out.Trailer = stream.Trailer()
	return out
}
