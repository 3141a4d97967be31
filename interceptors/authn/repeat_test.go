package authn_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/internal/policypb"
)

// renewable gives the tokens t1, t2 and so on, and counts those that are invalidated.
type renewable struct{ tokens, invalid atomic.Int32 }

func (r *renewable) Token(context.Context) (string, error) {
	return fmt.Sprint("t", r.tokens.Add(1)), nil
}

func (r *renewable) Invalidate(string) { r.invalid.Add(1) }

// firstFor returns a validator that gives the token t1 a life, and every other one an hour.
func firstFor(life time.Duration) authn.Validator {
	return func(_ context.Context, token string) (*authn.Identity, error) {
		expires := time.Now().Add(time.Hour)
		if token == "t1" {
			expires = time.Now().Add(life)
		}
		return &authn.Identity{Subject: "alice", Expires: expires}, nil
	}
}

// TestRepeatsOnlyUnprocessed: a client repeats a call only if the server's answer proves that the
// handler did not run.
func TestRepeatsOnlyUnprocessed(t *testing.T) {
	downstream := hauberk.Reject(codes.Unauthenticated, authn.ReasonTokenExpired, "Token expired").GRPCStatus().Err()
	plain := status.Error(codes.Unauthenticated, "no")
	trust := authn.ClientConfig{TrustUnauthenticated: true}
	for name, test := range map[string]struct {
		life    time.Duration // of the first token
		shadow  bool          // the server only records rejections
		fails   error         // of the first handler
		config  authn.ClientConfig
		handled int32
		code    codes.Code
	}{
		"rejected before the handler":    {0, false, nil, authn.ClientConfig{}, 1, codes.OK},
		"expired in the handler":         {time.Minute, false, nil, authn.ClientConfig{}, 1, codes.Unauthenticated},
		"rejected by the handler":        {time.Hour, false, plain, authn.ClientConfig{}, 1, codes.Unauthenticated},
		"rejected by another server":     {time.Hour, false, downstream, authn.ClientConfig{}, 1, codes.Unauthenticated},
		"rejected in shadow":             {0, true, plain, authn.ClientConfig{}, 1, codes.Unauthenticated},
		"by the handler, which is known": {time.Hour, false, plain, trust, 2, codes.OK},
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, kind hauberk.Kind) {
				synctest.Test(t, func(t *testing.T) {
					var handled atomic.Int32
					backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
						switch first := handled.Add(1) == 1; {
						case first && test.fails != nil:
							return test.fails
						case first && test.life == time.Minute:
							<-ctx.Done()
							return context.Cause(ctx)
						default:
							return hauberktest.Echo(ctx, s)
						}
					}}
					var x hauberk.Interceptor = authn.New(authn.Config{ExpireUnary: true}, authn.Bearer(firstFor(test.life)))
					if test.shadow {
						x = hauberk.Shadow(x)
					}
					source := new(renewable)
					test.config.AllowClearText = true
					env := hauberktest.Start(t, hauberktest.Setup{
						Kind: kind, Backend: backend, Server: hauberk.Must(hauberk.New(x)),
						Client: hauberk.Must(hauberk.New(authn.NewClient(source, test.config))),
					})
					err := env.Call(t.Context()).Err
					if status.Code(err) != test.code || handled.Load() != test.handled || source.invalid.Load() != 1 {
						t.Errorf("%v, the handler ran %d times, %d tokens were invalidated; want %v, %d times, 1 token",
							err, handled.Load(), source.invalid.Load(), test.code, test.handled)
					}
				})
			})
		})
	}
}

// own are credentials of a call with an authorization, or with an error.
type own struct{ err error }

func (o own) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer mine"}, o.err
}

func (own) RequireTransportSecurity() bool { return false }

// TestOwnCredentialsRejected: only an answer to the source's token says something about that.
func TestOwnCredentialsRejected(t *testing.T) {
	inside := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.AddOptions(grpc.PerRPCCredentials(own{}))
		return next(ctx, call)
	})
	for name, test := range map[string]struct {
		options []grpc.CallOption
		inner   []hauberk.Interceptor
		clear   bool
		calls   int
	}{
		"rejected by the server":     {[]grpc.CallOption{grpc.PerRPCCredentials(own{})}, nil, false, 1},
		"fail":                       {[]grpc.CallOption{grpc.PerRPCCredentials(own{status.Error(codes.Unauthenticated, "no")})}, nil, false, 0},
		"of an inner interceptor":    {nil, interceptors(inside), false, 1},
		"without transport security": {[]grpc.CallOption{grpc.PerRPCCredentials(own{})}, nil, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, kind hauberk.Kind) {
				g, source := new(gate), new(renewable)
				x := append(interceptors(authn.NewClient(source, authn.ClientConfig{AllowClearText: test.clear})), test.inner...)
				env := hauberktest.Start(t, over(!test.clear, hauberktest.Setup{
					Kind: kind, Backend: g.backend(), Client: hauberk.Must(hauberk.New(x...)),
				}))
				err := env.Do(t.Context(), hauberktest.FullMethod(kind), []*testpb.Request{{}}, test.options...).Err
				if status.Code(err) != codes.Unauthenticated || len(g.seen()) != test.calls || source.invalid.Load() != 0 {
					t.Errorf("%v; the server saw %q, %d tokens were invalidated; want %d calls and none",
						err, g.seen(), source.invalid.Load(), test.calls)
				}
			})
		})
	}
}

// TestMetadataOfRejectedAttempt: the application receives the header and the trailer of the second
// attempt alone.
func TestMetadataOfRejectedAttempt(t *testing.T) {
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		_ = s.SetHeader(metadata.Pairs("x-header", "h"))
		s.SetTrailer(metadata.Pairs("x-trailer", "t"))
		return hauberktest.Echo(ctx, s)
	}}
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		env := hauberktest.Start(t, hauberktest.Setup{
			Kind: kind, Backend: backend,
			Server: hauberk.Must(hauberk.New(authn.New(authn.Config{}, authn.Bearer(firstFor(0))))),
			Client: hauberk.Must(hauberk.New(authn.NewClient(new(renewable), authn.ClientConfig{AllowClearText: true}))),
		})
		out := env.Call(t.Context())
		if out.Err != nil || len(out.Header["x-header"]) != 1 || len(out.Trailer["x-trailer"]) != 1 || len(out.Trailer[authn.Unprocessed]) != 0 {
			t.Errorf("%v, header %v, trailer %v", out.Err, out.Header, out.Trailer)
		}
	})
}

// TestRepeatsIdempotentMethods: a method that its proto states to be idempotent may run twice. Its policy
// wins over its idempotency_level, and the policy of the chain over both.
func TestRepeatsIdempotentMethods(t *testing.T) {
	overridden, err := hauberk.FromRegistry("hauberk.policy.test.v1.Plain")
	if err != nil {
		t.Fatal(err)
	}
	if err := overridden.Override("*", func(m *hauberk.MethodPolicy) { m.Idempotent = true }); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		method   string
		policy   *hauberk.DescriptorPolicy // of the chain
		attempts int
	}{
		{policypb.Cart_List_FullMethodName, nil, 2},   // idempotency_level
		{policypb.Cart_Get_FullMethodName, nil, 2},    // policy
		{policypb.Cart_Refund_FullMethodName, nil, 1}, // not by its policy, although by its idempotency_level
		{policypb.Plain_Do_FullMethodName, nil, 1},
		{policypb.Plain_Do_FullMethodName, overridden, 2},
	} {
		var conn rejectingConn
		client := authn.NewClient(new(renewable), authn.ClientConfig{AllowClearText: true})
		chain := hauberk.Must(hauberk.Config{Policy: test.policy}.New(client))
		err := chain.ClientConn(&conn).Invoke(t.Context(), test.method, &testpb.Request{}, &testpb.Response{})
		if want := codes.Unauthenticated; status.Code(err) != want || conn.attempts != test.attempts {
			t.Errorf("%s: %v after %d attempts; want %v after %d", test.method, err, conn.attempts, want, test.attempts)
		}
	}
}

// rejectingConn is a connection to a server, not of this package, that rejects every token.
type rejectingConn struct {
	grpc.ClientConnInterface

	attempts int
}

func (c *rejectingConn) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	c.attempts++
	return status.Error(codes.Unauthenticated, "no")
}
