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
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// Env is a server and a client of it, in memory, with interceptors on one side
// or both.
type Env struct {
	// Conn is the client's connection, behind its chain.
	Conn grpc.ClientConnInterface
	// Server is the server, behind its chain.
	Server *hauberk.Server
	// Client is the connection itself.
	Client *grpc.ClientConn

	kind hauberk.Kind
}

// Setup says what [Start] starts. The zero value is a server that echoes and a
// client, without interceptors.
type Setup struct {
	Backend       *Backend
	Server        *hauberk.Chain
	Client        *hauberk.Chain
	ServerOptions []grpc.ServerOption
	DialOptions   []grpc.DialOption
	// Register registers further services, before the server starts.
	Register func(srv *hauberk.Server)
	// Kind is the kind of method that Env.Call calls.
	Kind hauberk.Kind
}

// Start starts a server and a client, which end with the test.
func Start(t testing.TB, setup Setup) *Env {
	t.Helper()
	lis := bufconn.Listen(1 << 20)
	srv := orEmpty(setup.Server).NewServer(setup.ServerOptions...)
	backend := setup.Backend
	if backend == nil {
		backend = &Backend{}
	}
	testpb.RegisterTestServiceServer(srv, backend)
	if setup.Register != nil {
		setup.Register(srv)
	}
	if err := orEmpty(setup.Server).Coverage(srv.GetServiceInfo()).Err(); err != nil {
		srv.Stop()
		t.Fatalf("hauberktest: %v", err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()

	dial := []grpc.DialOption{
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
	}
	if h := orEmpty(setup.Client).StatsHandler(hauberk.ClientSide); h != nil {
		dial = append(dial, grpc.WithStatsHandler(h))
	}
	conn, err := grpc.NewClient("passthrough:///bufconn", append(dial, setup.DialOptions...)...)
	if err != nil {
		t.Fatalf("hauberktest: %v", err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		srv.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("hauberktest: the server ended with %v", err)
		}
	})
	return &Env{Conn: orEmpty(setup.Client).ClientConn(conn), Server: srv, Client: conn, kind: setup.Kind}
}

func orEmpty(c *hauberk.Chain) *hauberk.Chain {
	if c == nil {
		return hauberk.Must(hauberk.New())
	}
	return c
}

// Start starts an echoing server and a client, with the interceptors on the
// case's side.
func (c Case) Start(t testing.TB, interceptors ...hauberk.Interceptor) *Env {
	t.Helper()
	return c.StartWith(t, nil, interceptors...)
}

// StartWith is Start with a backend.
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

// Outcome is what a caller got of a call.
type Outcome struct {
	Responses       []*testpb.Response
	Header, Trailer metadata.MD
	Err             error // nil, or with the call's status
}

// Texts returns the texts of the responses.
func (o Outcome) Texts() []string {
	texts := make([]string, 0, len(o.Responses))
	for _, r := range o.Responses {
		texts = append(texts, r.GetText())
	}
	return texts
}

// FullMethod returns the full name of the test service's method of a kind.
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

// Call calls the method of the environment's kind with requests of these texts,
// one "hello" if none are given, and reads the call to its end. Methods with a
// single request send the first.
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

// Do calls a method of the environment's kind and reads the call to its end.
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

// send sends all requests, unless the server has answered already, and closes.
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
