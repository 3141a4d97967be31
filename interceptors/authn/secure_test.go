package authn_test

import (
	"context"
	"net"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/local"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/transform"
)

// Where transport security is required a plaintext connection sees nothing of a
// call, with the caller's own authorization or not.
func TestRequireTransportSecurity(t *testing.T) {
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		var a arrivals
		x := authn.NewClient(numbered(), authn.ClientConfig{})
		env := client(kind).StartWith(t, a.backend(), x)
		for _, ctx := range []context.Context{t.Context(), with(t.Context(), "Bearer mine")} {
			if out := env.Call(ctx); status.Code(out.Err) != codes.Unauthenticated {
				t.Errorf("%v; want %s", out.Err, codes.Unauthenticated)
			}
		}
		a.want(t)
	})
}

// adders are ways in which credentials are added to a call inside of authn.
func adders() map[string]hauberk.Interceptor {
	creds := grpc.PerRPCCredentials(apiKey{})
	return map[string]hauberk.Interceptor{
		"transform": transform.New(transform.Config{}, transform.WithCredentials(apiKey{})),
		"an interceptor": hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.AddOptions(creds, grpc.WaitForReady(true))
			return next(ctx, call)
		}),
		"an interceptor of grpc-go": hauberk.FromClient(addUnary, addStream),
	}
}

func addUnary(
	ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	return invoker(ctx, method, req, reply, cc, append(slices.Clip(opts), grpc.PerRPCCredentials(apiKey{}))...)
}

func addStream(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return streamer(ctx, desc, cc, method, append(slices.Clip(opts), grpc.PerRPCCredentials(apiKey{}))...)
}

// The requirement holds for all credentials that inner interceptors add: a plaintext
// connection sees nothing of the call, and a secure one sees both.
func TestRequirementOutlastsCredentials(t *testing.T) {
	for name, adder := range adders() {
		for _, secure := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				eachKind(t, func(t *testing.T, kind hauberk.Kind) {
					var got metadata.MD
					env := hauberktest.Start(t, over(secure, hauberktest.Setup{Kind: kind, Backend: receiving(&got), Client: hauberk.Must(hauberk.New(
						authn.NewClient(numbered(), authn.ClientConfig{}), adder))}))
					for _, own := range []string{"", "Bearer mine"} {
						ctx, want := t.Context(), []string{"Bearer t1"}
						if own != "" {
							ctx, want = with(ctx, own), []string{own}
						}
						out := env.Call(ctx)
						if !secure {
							if status.Code(out.Err) != codes.Unauthenticated || got != nil {
								t.Errorf("%v, the server received %v; want %s", out.Err, got, codes.Unauthenticated)
							}
							continue
						}
						if out.Err != nil || !slices.Equal(got["authorization"], want) || !slices.Equal(got["x-api-key"], []string{"k"}) {
							t.Errorf("%v, the server received %v", out.Err, got)
						}
					}
				})
			})
		}
	}
}

// Interceptors of grpc-go that the connection runs inside the chain may replace the
// credentials. Then the token is not sent at all.
func TestReplacedOutsideTheChain(t *testing.T) {
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		var got metadata.MD
		chain := hauberk.Must(hauberk.New(authn.NewClient(numbered(), authn.ClientConfig{})))
		env := hauberktest.Start(t, hauberktest.Setup{Kind: kind, Backend: receiving(&got), DialOptions: chain.DialOptions(
			grpc.WithChainUnaryInterceptor(addUnary), grpc.WithChainStreamInterceptor(addStream))})
		env.Call(t.Context())
		if got["authorization"] != nil {
			t.Errorf("a plaintext connection sent %v", got)
		}
	})
}

// A call through two chains has one authorization: that of its credentials, or else the
// token of the outer chain.
func TestOneAuthorization(t *testing.T) {
	plain, require := authn.ClientConfig{AllowClearText: true}, authn.ClientConfig{}
	other := authn.StaticToken("other")
	for _, c := range []struct {
		name         string
		outer, inner authn.ClientConfig
		opts         []grpc.CallOption
		want         string
	}{
		{"both plain", plain, plain, nil, "Bearer t1"},
		{"both require", require, require, nil, "Bearer t1"},
		{"the outer requires", require, plain, nil, "Bearer t1"},
		{"the inner requires", plain, require, nil, "Bearer t1"},
		{"the call's credentials", require, require, []grpc.CallOption{grpc.PerRPCCredentials(basic{})}, "Basic YTpi"},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, kind hauberk.Kind) {
				var got metadata.MD
				outer := hauberk.Must(hauberk.New(authn.NewClient(numbered(), c.outer)))
				inner := hauberk.Must(hauberk.New(authn.NewClient(other, c.inner)))
				env := hauberktest.Start(t, over(true, hauberktest.Setup{Kind: kind, Backend: receiving(&got), Client: inner}))
				env.Conn = outer.ClientConn(env.Client)
				out := env.Do(t.Context(), hauberktest.FullMethod(kind), []*testpb.Request{{}}, c.opts...)
				if out.Err != nil || !slices.Equal(got["authorization"], []string{c.want}) {
					t.Errorf("%v, the server received %q", out.Err, got["authorization"])
				}
			})
		})
	}
}

// basic are credentials with an authorization.
type basic struct{ apiKey }

func (basic) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"Authorization": "Basic YTpi"}, nil
}

// receiving is a backend that keeps the metadata of its last call.
func receiving(got *metadata.MD) *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		*got, _ = metadata.FromIncomingContext(ctx)
		return hauberktest.Echo(ctx, s)
	}}
}

// over adds transport security to a setup, or does not.
func over(secure bool, setup hauberktest.Setup) hauberktest.Setup {
	if secure {
		creds := secureLocal{local.NewCredentials()}
		setup.ServerOptions = append(setup.ServerOptions, grpc.Creds(creds))
		setup.DialOptions = append(setup.DialOptions, grpc.WithTransportCredentials(creds))
	}
	return setup
}

// On a secure connection the call goes on with the credentials that it has itself.
func TestTransportSecurity(t *testing.T) {
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		for _, own := range []bool{false, true} {
			var key []string
			backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
				key = metadata.ValueFromIncomingContext(ctx, "x-api-key")
				return hauberktest.Echo(ctx, s)
			}}
			x := authn.NewClient(numbered(), authn.ClientConfig{})
			env := hauberktest.Start(t, hauberktest.Setup{
				Kind: kind, Backend: backend, Client: hauberk.Must(hauberk.New(x)),
				ServerOptions: []grpc.ServerOption{grpc.Creds(secureLocal{local.NewCredentials()})},
				DialOptions:   []grpc.DialOption{grpc.WithTransportCredentials(secureLocal{local.NewCredentials()})},
			})
			var opts []grpc.CallOption
			var want []string
			if own {
				opts, want = append(opts, grpc.PerRPCCredentials(apiKey{})), []string{"k"}
			}
			out := env.Do(t.Context(), hauberktest.FullMethod(kind), []*testpb.Request{{}}, opts...)
			if out.Err != nil || !slices.Equal(key, want) {
				t.Errorf("%v, x-api-key %q; want %q", out.Err, key, want)
			}
		}
	})
}

// The credentials that a connection adds by default are kept, in a separate chain as in
// one in front of it. Those of the call replace them, as without a chain.
func TestDefaultCredentials(t *testing.T) {
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		for _, test := range []struct {
			name    string
			inFront bool
			opts    []grpc.CallOption
			want    string
		}{
			{"DialOptions", false, nil, "default"},
			{"ClientConn", true, nil, "default"},
			{"DialOptions, the call's own", false, []grpc.CallOption{grpc.PerRPCCredentials(apiKey{})}, "k"},
			{"ClientConn, the call's own", true, []grpc.CallOption{grpc.PerRPCCredentials(apiKey{})}, "k"},
		} {
			var key []string
			backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
				key = metadata.ValueFromIncomingContext(ctx, "x-api-key")
				return hauberktest.Echo(ctx, s)
			}}
			chain := hauberk.Must(hauberk.New(authn.NewClient(numbered(), authn.ClientConfig{})))
			dial := []grpc.DialOption{
				grpc.WithTransportCredentials(secureLocal{local.NewCredentials()}),
				grpc.WithDefaultCallOptions(grpc.PerRPCCredentials(defaultKey{})),
			}
			if !test.inFront {
				dial = chain.DialOptions(dial...)
			}
			env := hauberktest.Start(t, hauberktest.Setup{
				Kind: kind, Backend: backend, DialOptions: dial,
				ServerOptions: []grpc.ServerOption{grpc.Creds(secureLocal{local.NewCredentials()})},
			})
			if env.Conn = env.Client; test.inFront {
				env.Conn = chain.ClientConn(env.Client)
			}
			out := env.Do(t.Context(), hauberktest.FullMethod(kind), []*testpb.Request{{}}, test.opts...)
			if out.Err != nil || !slices.Equal(key, []string{test.want}) {
				t.Errorf("%s: %v, x-api-key %q; want %q", test.name, out.Err, key, test.want)
			}
		}
	})
}

// defaultKey is apiKey for all calls of a connection.
type defaultKey struct{ apiKey }

func (defaultKey) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"x-api-key": "default"}, nil
}

// secureLocal reports a connection in memory as secure, as grpc-go's local
// credentials report a Unix socket.
type secureLocal struct {
	credentials.TransportCredentials
}

func (s secureLocal) ClientHandshake(_ context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return conn, secureInfo{credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}, nil
}

func (s secureLocal) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return conn, secureInfo{credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}, nil
}

func (s secureLocal) Clone() credentials.TransportCredentials { return s }

type secureInfo struct{ credentials.CommonAuthInfo }

func (secureInfo) AuthType() string { return "test" }

type apiKey struct{}

func (apiKey) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"x-api-key": "k"}, nil
}

func (apiKey) RequireTransportSecurity() bool { return false }
