package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

const unary = testpb.TestService_Unary_FullMethodName

// all are the methods of the test service, which have no idempotency level.
var all = []string{"hauberk.test.v1.TestService/*"}

// server serves unary calls behind a chain, without a network. Its handler counts.
type server struct {
	t         testing.TB
	chain     *hauberk.Chain
	handled   atomic.Int64
	handle    func(ctx context.Context, req *testpb.Request) (*testpb.Response, error)
	intercept func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error)
}

func newServer(t testing.TB, config hauberk.Config, interceptors ...hauberk.Interceptor) *server {
	t.Helper()
	chain, err := config.New(interceptors...)
	if err != nil {
		t.Fatal(err)
	}
	return &server{t: t, chain: chain, intercept: chain.UnaryServerInterceptor()}
}

// result is what a caller gets.
type result struct {
	text            string
	header, trailer metadata.MD
	err             error
}

// call makes a call with metadata. The answer has the number of calls that the handler has had.
func (s *server) call(ctx context.Context, text string, pairs ...string) result {
	ctx = metadata.NewIncomingContext(ctx, metadata.Pairs(pairs...))
	stream := new(hauberktest.TransportStream)
	ctx = grpc.NewContextWithServerTransportStream(ctx, stream)
	info := &grpc.UnaryServerInfo{FullMethod: unary}
	got, err := s.intercept(ctx, &testpb.Request{Text: text}, info, func(ctx context.Context, req any) (any, error) {
		n := s.handled.Add(1)
		if s.handle != nil {
			return s.handle(ctx, req.(*testpb.Request))
		}
		return &testpb.Response{Text: fmt.Sprintf("%s %d", req.(*testpb.Request).GetText(), n)}, nil
	})
	r := result{header: stream.Header, trailer: stream.Trailer, err: err}
	if err == nil {
		r.text = got.(*testpb.Response).GetText()
	}
	return r
}

// wants checks the text of an answer.
func (s *server) wants(want string, got result) {
	s.t.Helper()
	if got.err != nil || got.text != want {
		s.t.Errorf("%q, %v; want %q", got.text, got.err, want)
	}
}

// answers is a handler whose responses have cache-control.
func (s *server) answers(control string) {
	s.handle = func(ctx context.Context, req *testpb.Request) (*testpb.Response, error) {
		if control != "" {
			if err := grpc.SetHeader(ctx, metadata.Pairs("cache-control", control)); err != nil {
				return nil, err
			}
		}
		return &testpb.Response{Text: fmt.Sprintf("%s %d", req.GetText(), s.handled.Load())}, nil
	}
}

// login replaces authentication: the metadata keys "user" and "scope" are believed.
type login struct{}

func (login) Declare() hauberk.Declaration {
	return hauberk.Declaration{
		Name: "login", Phase: hauberk.PhaseAuthn, Authenticates: true, Writes: []hauberk.StateKey{hauberk.IdentityKey},
	}
}

func (login) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if user := call.Metadata(ctx, "user"); len(user) > 0 {
		id := &hauberk.Identity{Subject: user[0], Scopes: call.Metadata(ctx, "scope")}
		hauberk.IdentityKey.Set(call, id)
	} else if !call.Public() {
		return errors.New("no one")
	}
	return next(ctx, call)
}
