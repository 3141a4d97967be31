package authzext_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"go.uber.org/goleak"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authz/authzext"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const tests = "hauberk.test.v1.TestService/*"

var kinds = []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}

// service is an authorization service on 127.0.0.1.
type service struct {
	authv3.UnimplementedAuthorizationServer

	answer func(ctx context.Context, req *authv3.CheckRequest) (*authv3.CheckResponse, error)
	checks atomic.Int64
	last   atomic.Pointer[authv3.CheckRequest]
}

func (s *service) Check(ctx context.Context, req *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	s.checks.Add(1)
	s.last.Store(req)
	return s.answer(ctx, req)
}

// http returns the attributes of the HTTP request in the last check.
func (s *service) http() *authv3.AttributeContext_HttpRequest {
	return s.last.Load().GetAttributes().GetRequest().GetHttp()
}

// always returns a service that always gives the same answer.
func always(resp *authv3.CheckResponse) *service {
	return &service{answer: func(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) { return resp, nil }}
}

// failing returns a service whose checks end with a status.
func failing(code codes.Code) *service {
	return &service{answer: func(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
		return nil, status.Error(code, "secret text of the service")
	}}
}

// serve starts the service and returns its server and address.
func (s *service) serve(t testing.TB, addr string) (*grpc.Server, string) {
	t.Helper()
	lis, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(grpc.WaitForHandlers(true))
	authv3.RegisterAuthorizationServer(srv, s)
	stop := hauberktest.Serve(t, srv, lis)
	t.Cleanup(func() {
		stop()
	})
	return srv, lis.Addr().String()
}

// dial starts the service and returns a connection to it.
func (s *service) dial(t testing.TB) *grpc.ClientConn {
	t.Helper()
	_, addr := s.serve(t, "127.0.0.1:0")
	return dial(t, addr)
}

func dial(t testing.TB, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// long is a timeout that no test waits for.
const long = 1 << 40

// ext returns an interceptor for a service.
func ext(t testing.TB, s *service, config authzext.Config, opts ...authzext.Option) *authzext.Interceptor {
	t.Helper()
	config.Conn = s.dial(t)
	if config.Timeout == 0 {
		config.Timeout = long
	}
	return authzext.New(config, opts...)
}

func header(key, value string, action corev3.HeaderValueOption_HeaderAppendAction) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: key, Value: value}, AppendAction: action}
}

// appended is a header with the deprecated field.
func appended(key, value string, isAppended bool) *corev3.HeaderValueOption {
	h := header(key, value, 0)
	h.Append = wrapperspb.Bool(isAppended) //nolint:staticcheck // services still set it
	return h
}

func code(c codes.Code) *rpcstatus.Status {
	return &rpcstatus.Status{Code: int32(c), Message: "secret text of the service"}
}

func allow(ok *authv3.OkHttpResponse) *authv3.CheckResponse {
	return &authv3.CheckResponse{Status: code(codes.OK), HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok}}
}

func allowed() *authv3.CheckResponse { return allow(new(authv3.OkHttpResponse)) }

func setting(headers ...*corev3.HeaderValueOption) *authv3.CheckResponse {
	return allow(&authv3.OkHttpResponse{Headers: headers})
}

func deny(http int, headers ...*corev3.HeaderValueOption) *authv3.CheckResponse {
	return &authv3.CheckResponse{
		Status: code(codes.PermissionDenied),
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode(http)}, Body: "body of the service", Headers: headers,
		}},
	}
}

func reports(c codes.Code, http int) *authv3.CheckResponse {
	return &authv3.CheckResponse{
		Status: code(c),
		HttpResponse: &authv3.CheckResponse_ErrorResponse{ErrorResponse: &authv3.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode(http)}, Body: "body of the service",
			Headers: []*corev3.HeaderValueOption{header("x-why", "1", 0)},
		}},
	}
}

// server is a server behind the interceptor. It records what its handlers saw, and the outcomes
// of the first calls in its process.
type server struct {
	*hauberktest.Env

	ended chan ending
	seen  atomic.Pointer[metadata.MD]
	calls atomic.Int64
}

type ending struct {
	err       error
	decisions []hauberk.Decision
}

func start(t *testing.T, c hauberktest.Case, interceptors ...hauberk.Interceptor) *server {
	t.Helper()
	s := &server{ended: make(chan ending, 100)}
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, stream hauberktest.Stream) error {
		s.calls.Add(1)
		md, _ := metadata.FromIncomingContext(ctx)
		s.seen.Store(&md)
		return hauberktest.Echo(ctx, stream)
	}}
	observe := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		select {
		case s.ended <- ending{err, call.Decisions().All()}:
		default: // no test looks at so many
		}
		return err
	})
	s.Env = c.StartWith(t, backend, append([]hauberk.Interceptor{observe}, interceptors...)...)
	return s
}

// eachKind runs a test for a server of each kind.
func eachKind(t *testing.T, test func(t *testing.T, c hauberktest.Case)) {
	t.Helper()
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			test(t, hauberktest.Case{Side: hauberk.ServerSide, Kind: kind})
		})
	}
}

func with(ctx context.Context, pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("got %v, want %v", err, want)
	}
}

// login replaces authentication: it sets the identity that the metadata names.
type login struct{}

func (login) Declare() hauberk.Declaration {
	return hauberk.Declaration{
		Name: "login", Phase: hauberk.PhaseAuthn, Sides: hauberk.OnlyServers,
		Writes: []hauberk.StateKey{hauberk.IdentityKey}, Authenticates: true,
	}
}

func (login) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if who := call.Metadata(ctx, "x-login"); len(who) > 0 {
		hauberk.IdentityKey.Set(call, &hauberk.Identity{
			Subject: who[0], Issuer: "iss", Tenant: "acme", Roles: []string{"buyer", "\xff"}, Method: "jwt",
		})
	}
	return next(ctx, call)
}
