package authn_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
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
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
)

func client(kind hauberk.Kind) hauberktest.Case {
	return hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
}

// numbered gives the tokens t1, t2 and so on.
func numbered() authn.TokenSource {
	var n atomic.Int64
	return func(context.Context) (string, error) { return fmt.Sprintf("t%d", n.Add(1)), nil }
}

// arrivals keeps the authorization of each call that arrives, and fails the first
// few of them.
type arrivals struct {
	fail int
	got  [][]string
}

func (a *arrivals) backend() *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		a.got = append(a.got, metadata.ValueFromIncomingContext(ctx, "authorization"))
		if len(a.got) <= a.fail {
			return status.Error(codes.Unavailable, "not yet")
		}
		return hauberktest.Echo(ctx, s)
	}}
}

func (a *arrivals) want(t *testing.T, want ...[]string) {
	t.Helper()
	if !slices.EqualFunc(a.got, want, slices.Equal) {
		t.Errorf("calls arrived with %q; want %q", a.got, want)
	}
}

func TestSends(t *testing.T) {
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		var a arrivals
		env := client(kind).StartWith(t, a.backend(), authn.NewClient(numbered(), authn.ClientConfig{}))
		for range 2 {
			if out := env.Call(metadata.AppendToOutgoingContext(t.Context(), "other", "kept")); out.Err != nil {
				t.Fatal(out.Err)
			}
		}
		a.want(t, []string{"Bearer t1"}, []string{"Bearer t2"})
	})
}

// What the caller has set under the key is sent, and nothing else.
func TestCallersOwn(t *testing.T) {
	for _, own := range [][]string{{"Bearer mine"}, {"Basic bWluZQ=="}, {"a", "b"}} {
		eachKind(t, func(t *testing.T, kind hauberk.Kind) {
			var a arrivals
			source := func(context.Context) (string, error) { return "", errors.New("asked") }
			env := client(kind).StartWith(t, a.backend(), authn.NewClient(source, authn.ClientConfig{}))
			ctx := t.Context()
			for _, v := range own {
				ctx = metadata.AppendToOutgoingContext(ctx, "Authorization", v)
			}
			if out := env.Call(ctx); out.Err != nil {
				t.Fatal(out.Err)
			}
			a.want(t, own)
		})
	}
}

// Inside a retry each attempt has its own token; outside, all have the same.
func TestAttempts(t *testing.T) {
	retry := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.Replayable(1 << 10)
		err := next(ctx, call)
		for i := 0; i < 2 && status.Code(err) == codes.Unavailable; i++ {
			err = next(ctx, call)
		}
		return err
	})
	for _, kind := range kinds {
		for _, inside := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/inside %t", kind, inside), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				a := arrivals{fail: 2}
				interceptors := []hauberk.Interceptor{retry, authn.NewClient(numbered(), authn.ClientConfig{})}
				want := [][]string{{"Bearer t1"}, {"Bearer t2"}, {"Bearer t3"}}
				if !inside {
					slices.Reverse(interceptors)
					want = [][]string{{"Bearer t1"}, {"Bearer t1"}, {"Bearer t1"}}
				}
				if out := client(kind).StartWith(t, a.backend(), interceptors...).Call(t.Context()); out.Err != nil {
					t.Fatal(out.Err)
				}
				a.want(t, want...)
			})
		}
	}
}

func TestSourceFails(t *testing.T) {
	boom := errors.New("boom")
	tests := []struct {
		name    string
		token   string
		err     error
		code    codes.Code
		message string
		cause   error
	}{
		{"any error", "", boom, codes.Unauthenticated, "No token", boom},
		{"its sentinel", "", boom, codes.Unauthenticated, "No token", authn.ErrTokenSource},
		{"a token with the error", "t", boom, codes.Unauthenticated, "No token", boom},
		{"a status", "", status.Error(codes.Unavailable, "down"), codes.Unavailable, "down", nil},
		{"a rejection", "", hauberk.Reject(codes.PermissionDenied, "NO", "no"), codes.PermissionDenied, "no", nil},
		{"UNKNOWN", "", status.Error(codes.Unknown, "?"), codes.Unauthenticated, "No token", authn.ErrTokenSource},
		{"its own deadline", "", context.DeadlineExceeded, codes.Unauthenticated, "No token", authn.ErrTokenSource},
		{"no token", "", nil, codes.Unauthenticated, "Malformed token", authn.ErrTokenSource},
		{"line break", "secret\n", nil, codes.Unauthenticated, "Malformed token", authn.ErrTokenSource},
		{"split header", "t\r\nx-admin: 1", nil, codes.Unauthenticated, "Malformed token", authn.ErrTokenSource},
		{"space", "a b", nil, codes.Unauthenticated, "Malformed token", authn.ErrTokenSource},
		{"scheme", "Bearer t", nil, codes.Unauthenticated, "Malformed token", authn.ErrTokenSource},
		{"not ASCII", "tökén", nil, codes.Unauthenticated, "Malformed token", authn.ErrTokenSource},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, kind hauberk.Kind) {
				var a arrivals
				source := func(context.Context) (string, error) { return test.token, test.err }
				out := client(kind).StartWith(t, a.backend(), authn.NewClient(source, authn.ClientConfig{})).Call(t.Context())
				wantStatus(t, out.Err, test.code, test.message)
				if test.cause != nil && !errors.Is(out.Err, test.cause) {
					t.Errorf("%v does not wrap %v", out.Err, test.cause)
				}
				a.want(t)
			})
		})
	}
}

// The context of a slow source ends with the call; nothing is sent.
func TestSlowSource(t *testing.T) {
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		var a arrivals
		ctx, cancel := context.WithCancel(t.Context())
		source := func(ctx context.Context) (string, error) {
			cancel()
			<-ctx.Done()
			return "", fmt.Errorf("asked: %w", ctx.Err())
		}
		out := client(kind).StartWith(t, a.backend(), authn.NewClient(source, authn.ClientConfig{})).Call(ctx)
		if got := status.Code(out.Err); got != codes.Canceled {
			t.Errorf("%s: %v; want %s", kind, out.Err, codes.Canceled)
		}
		a.want(t)
	})
}

// A token that comes too late is not sent.
func TestLateToken(t *testing.T) {
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		var a arrivals
		ctx, cancel := context.WithCancel(t.Context())
		source := func(ctx context.Context) (string, error) {
			cancel()
			<-ctx.Done()
			return "t", nil
		}
		out := client(kind).StartWith(t, a.backend(), authn.NewClient(source, authn.ClientConfig{})).Call(ctx)
		if got := status.Code(out.Err); got != codes.Canceled {
			t.Errorf("%s: %v; want %s", kind, out.Err, codes.Canceled)
		}
		a.want(t)
	})
}

func TestSourcePanics(t *testing.T) {
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		var a arrivals
		source := func(context.Context) (string, error) { panic("boom") }
		env := client(kind).StartWith(t, a.backend(),
			guard(), authn.NewClient(source, authn.ClientConfig{}))
		wantStatus(t, env.Call(t.Context()).Err, codes.Internal, recovery.DefaultMessage)
		a.want(t)
	})
}

// Where transport security is required a plaintext connection sees nothing of a
// call, with the caller's own authorization or not.
func TestRequireTransportSecurity(t *testing.T) {
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		var a arrivals
		x := authn.NewClient(numbered(), authn.ClientConfig{RequireTransportSecurity: true})
		env := client(kind).StartWith(t, a.backend(), x)
		for _, ctx := range []context.Context{t.Context(), with(t.Context(), "Bearer mine")} {
			if out := env.Call(ctx); status.Code(out.Err) != codes.Unauthenticated {
				t.Errorf("%v; want %s", out.Err, codes.Unauthenticated)
			}
		}
		a.want(t)
	})
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
			x := authn.NewClient(numbered(), authn.ClientConfig{RequireTransportSecurity: true})
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
			chain := hauberk.Must(hauberk.New(authn.NewClient(numbered(), authn.ClientConfig{RequireTransportSecurity: true})))
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
