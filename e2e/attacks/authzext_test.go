package attacks_test

import (
	"context"
	"net"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authz/authzext"
)

// namer is an authorization service that allows every call but those of "eve", and sets "x-user"
// if the call has a token.
type namer struct {
	authv3.UnimplementedAuthorizationServer
}

func (namer) Check(_ context.Context, req *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	ok := new(authv3.OkHttpResponse)
	switch token := req.GetAttributes().GetRequest().GetHttp().GetHeaders()["authorization"]; token {
	case "Bearer eve":
		return &authv3.CheckResponse{Status: &rpcstatus.Status{Code: int32(codes.PermissionDenied)}}, nil
	case "":
	default:
		ok.Headers = []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "x-user", Value: "alice"}}}
	}
	return &authv3.CheckResponse{
		Status: &rpcstatus.Status{}, HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok},
	}, nil
}

// namerConn starts the service and connects to it.
func namerConn(t *testing.T) *grpc.ClientConn {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	authv3.RegisterAuthorizationServer(srv, namer{})
	stop := hauberktest.Serve(t, srv, lis)
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		stop()
	})
	return conn
}

// Metadata that the authorization service sets never comes from the client: on calls with and
// without a token, and of public methods.
func TestZ11SpoofedHeaders(t *testing.T) {
	for name, c := range map[string]struct {
		config hauberk.Config
		token  string
		want   codes.Code
		user   string
	}{
		"with a token":    {hauberk.Config{}, "Bearer alice", codes.OK, "alice"},
		"without a token": {hauberk.Config{}, "", codes.OK, ""},
		"denied":          {hauberk.Config{}, "Bearer eve", codes.PermissionDenied, ""},
		"public":          {hauberk.Config{Public: []string{service + "/*"}}, "", codes.OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			users := make(chan []string, 1)
			see := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				users <- metadata.ValueFromIncomingContext(ctx, "x-user")
				return next(ctx, call)
			})
			to := serve(t, c.config, nil, authzext.New(authzext.Config{
				Conn: namerConn(t), Timeout: 1 << 40, OwnHeaders: []string{"x-user"},
			}), see)
			for _, kind := range kinds {
				pairs := []string{"x-user", "root", "X-User", "admin"}
				if c.token != "" {
					pairs = append(pairs, "authorization", c.token)
				}
				to.wantCall(t, kind, c.want, "text", pairs...)
				if c.want != codes.OK {
					continue
				}
				user := <-users
				if c.user == "" && len(user) > 0 || c.user != "" && (len(user) != 1 || user[0] != c.user) {
					t.Errorf("%s: the handler sees %q, want %q", kind, user, c.user)
				}
			}
		})
	}
}
