package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

func inProcessContests() []contest {
	return append(tracingContests(), []contest{
		serverUnaryContest(),
		clientUnaryContest(),
		clientStreamContest(hauberk.Bidi),
		clientStreamContest(hauberk.ServerStream),
		clientStreamContest(hauberk.ClientStream),
		limiterContest(),
		breakerContest(),
		retryContest(),
		retryConnContest(),
		loggingContest(),
		metricsContest(),
		observingContest(),
	}...)
}

func serverUnaryContest() contest {
	return contest{
		name: "unary call on a server",
		variants: []variant{
			{"bare handler", func() func() error { return serverUnary(nil, nil) }},
			{"Hauberk, empty chain", behind(idleInterceptors(0)...)},
			{"Hauberk, 8 idle interceptors", behind(idleInterceptors(8)...)},
			{"Hauberk, recovery", behind(recovery.New(recovery.Config{}))},
			{"Hauberk, request id without echo", behind(requestid.New(requestid.Config{NoEcho: true}))},
			{"Hauberk, metrics", behind(metrics.New(metrics.Config{}))},
			{"Hauberk, JSON log", behind(newLogging())},
			{"Hauberk, JWT + limit by user", behind(authn.New(newVerifier().validate, authn.Config{}), limitUsers())},
			{wholeName, behind(wholeInterceptors(requestid.Config{NoEcho: true})...)},
			{wholeName + ", id echoed", behind(wholeInterceptors(requestid.Config{})...)},
			{middlewareName, func() func() error { return serverUnary(nil, middlewareUnary()) }},
		},
		budgets: map[string]budget{
			"Hauberk, empty chain":         {ns: 200, allocs: 1},
			"Hauberk, 8 idle interceptors": {ns: 200 + 8*15, allocs: 1},
			wholeName:                      {ns: 1700, allocs: 6},
			wholeName + ", id echoed":      {ns: 2200, allocs: 10},
		},
	}
}

func behind(interceptors ...hauberk.Interceptor) func() func() error {
	return func() func() error { return serverUnary(chainOf(interceptors...), nil) }
}

func clientUnaryContest() contest {
	return contest{
		name: "unary call on a client",
		variants: []variant{
			{"bare connection", func() func() error { return clientCall(nil, hauberk.Unary) }},
			{"Hauberk, empty chain", func() func() error { return clientCall(idleChain(0), hauberk.Unary) }},
			{"Hauberk, 8 idle interceptors", func() func() error { return clientCall(idleChain(8), hauberk.Unary) }},
		},
		budgets: map[string]budget{
			"Hauberk, empty chain":         {ns: 200, allocs: 1},
			"Hauberk, 8 idle interceptors": {ns: 200 + 8*15, allocs: 1},
		},
	}
}

func clientStreamContest(kind hauberk.Kind) contest {
	limit := budget{ns: 5000, allocs: 8}
	return contest{
		name: "stream on a client, open to close: " + kind.String(),
		variants: []variant{
			{"bare connection", func() func() error { return clientCall(nil, kind) }},
			{"Hauberk, 1 idle interceptor", func() func() error { return clientCall(idleChain(1), kind) }},
			{"Hauberk, 8 idle interceptors", func() func() error { return clientCall(idleChain(8), kind) }},
		},
		budgets: map[string]budget{"Hauberk, 1 idle interceptor": limit, "Hauberk, 8 idle interceptors": limit},
	}
}

func chainOf(interceptors ...hauberk.Interceptor) *hauberk.Chain {
	return hauberk.Must(hauberk.New(interceptors...))
}

func idleChain(n int) *hauberk.Chain { return chainOf(idleInterceptors(n)...) }

func idleInterceptors(n int) []hauberk.Interceptor {
	idle := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		return next(ctx, call)
	})
	return slices.Repeat([]hauberk.Interceptor{idle}, n)
}

func discardJSON() *slog.Logger { return slog.New(slog.NewJSONHandler(io.Discard, nil)) }

func newLogging() hauberk.Interceptor {
	return logging.New(logging.Config{}, logging.WithLogger(discardJSON()), logging.State("request_id", requestid.Key))
}

// registry catches a service description, so that its handlers run without a
// network.
type registry struct {
	desc *grpc.ServiceDesc
	impl any
}

func (r *registry) RegisterService(desc *grpc.ServiceDesc, impl any) { r.desc, r.impl = desc, impl }

// fixedService answers every call with the same message.
type fixedService struct {
	testpb.UnimplementedTestServiceServer
}

var fixed = &testpb.Response{Text: "fixed"}

func (fixedService) Unary(context.Context, *testpb.Request) (*testpb.Response, error) {
	return fixed, nil
}

// serverUnary serves one unary call behind a chain, a grpc-go interceptor or
// nothing.
func serverUnary(chain *hauberk.Chain, interceptor grpc.UnaryServerInterceptor) func() error {
	var r registry
	if chain == nil {
		testpb.RegisterTestServiceServer(&r, fixedService{})
	} else {
		testpb.RegisterTestServiceServer(chain.Registrar(&r), fixedService{})
	}
	authorization, err := newAuthorization()
	if err != nil {
		return failing(err)
	}
	ctx := grpc.NewContextWithServerTransportStream(context.Background(), nullStream{})
	ctx = peer.NewContext(ctx, &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 40001}})
	ctx = metadata.NewIncomingContext(ctx, metadata.Pairs(
		"user-agent", "bench", ":authority", "localhost", "authorization", authorization))
	handler := r.desc.Methods[0].Handler
	dec := func(any) error { return nil }
	return func() error {
		_, err := handler(r.impl, ctx, dec, interceptor)
		return err
	}
}

// nullStream takes headers and trailers and forgets them.
type nullStream struct{}

func (nullStream) Method() string               { return testpb.TestService_Unary_FullMethodName }
func (nullStream) SetHeader(metadata.MD) error  { return nil }
func (nullStream) SendHeader(metadata.MD) error { return nil }
func (nullStream) SetTrailer(metadata.MD) error { return nil }

// stubConn answers every call at once.
type stubConn struct{}

func (stubConn) Invoke(context.Context, string, any, any, ...grpc.CallOption) error { return nil }

func (stubConn) NewStream(
	ctx context.Context, _ *grpc.StreamDesc, _ string, _ ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return &stubStream{ctx: ctx, left: 1}, nil
}

type stubStream struct {
	ctx  context.Context //nolint:containedctx // what Context returns
	left int
}

func (s *stubStream) Context() context.Context   { return s.ctx }
func (*stubStream) Header() (metadata.MD, error) { return metadata.MD{}, nil }
func (*stubStream) Trailer() metadata.MD         { return nil }
func (*stubStream) CloseSend() error             { return nil }
func (*stubStream) SendMsg(any) error            { return nil }

func (s *stubStream) RecvMsg(any) error {
	if s.left == 0 {
		return io.EOF
	}
	s.left--
	return nil
}

// clientCall makes one call on a connection that answers at once.
func clientCall(chain *hauberk.Chain, kind hauberk.Kind) func() error {
	var conn grpc.ClientConnInterface = stubConn{}
	if chain != nil {
		conn = chain.ClientConn(conn)
	}
	if kind == hauberk.Unary {
		return unaryOn(conn)
	}
	ctx := context.Background()
	req, resp := &testpb.Request{}, &testpb.Response{}
	method := hauberktest.FullMethod(kind)
	desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
	return func() error {
		stream, err := conn.NewStream(ctx, desc, method)
		if err != nil {
			return err
		}
		if err := stream.SendMsg(req); err != nil {
			return err
		}
		if err := stream.CloseSend(); err != nil {
			return err
		}
		return receiveAll(stream, resp, kind.ServerStreams())
	}
}

func receiveAll(stream grpc.ClientStream, resp any, many bool) error {
	for {
		err := stream.RecvMsg(resp)
		if err == io.EOF {
			return nil
		}
		if err != nil || !many {
			return err
		}
	}
}
