package hauberk_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// The tests of this file are about interceptors of grpc-go on a client: what they are
// given, and what they pass on, is as on bare grpc-go.

// replying is a backend that answers each call with one text.
func replying(text string) *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		return s.Send(response(text))
	}}
}

// exchange makes a call of any kind with one request, and returns the first response.
func exchange(t *testing.T, conn grpc.ClientConnInterface, kind hauberk.Kind, opts ...grpc.CallOption) (string, error) {
	t.Helper()
	resp := new(testpb.Response)
	if kind == hauberk.Unary {
		err := conn.Invoke(patient(t), hauberktest.FullMethod(kind), message("a"), resp, opts...)
		return resp.GetText(), err
	}
	stream := start(patient(t), t, conn, kind, opts...)
	_ = stream.SendMsg(message("a"))
	_ = stream.CloseSend()
	err := stream.RecvMsg(resp)
	return resp.GetText(), err
}

// routing is a pair of interceptors of grpc-go that send calls to another connection; nil
// means none. They record the connection that they are given.
func routing(to *grpc.ClientConn, given *[]*grpc.ClientConn) hauberk.Interceptor {
	return hauberk.FromClient(
		func(ctx context.Context, method string, req, resp any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			*given = append(*given, cc)
			return invoke(ctx, method, req, resp, to, opts...)
		},
		func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			*given = append(*given, cc)
			return open(ctx, desc, to, method, opts...)
		})
}

// TestConnectionOfAnAdapter: a call goes to the connection that an interceptor of grpc-go
// passes on, inner ones are given that one, and Target returns its target, however the
// chain is attached. nil means the connection of the call.
func TestConnectionOfAnAdapter(t *testing.T) {
	for name, attach := range map[string]func(t *testing.T, c *hauberk.Chain) (conn grpc.ClientConnInterface, own *grpc.ClientConn){
		"DialOptions": func(t *testing.T, c *hauberk.Chain) (grpc.ClientConnInterface, *grpc.ClientConn) {
			cc := bare(t, replying("own"), c.DialOptions()...)
			return cc, cc
		},
		"ClientConn": func(t *testing.T, c *hauberk.Chain) (grpc.ClientConnInterface, *grpc.ClientConn) {
			cc := bare(t, replying("own"))
			return c.ClientConn(cc), cc
		},
		"ClientConn of ClientConn": func(t *testing.T, c *hauberk.Chain) (grpc.ClientConnInterface, *grpc.ClientConn) {
			cc := bare(t, replying("own"))
			return c.ClientConn(idleChain(1).ClientConn(cc)), cc
		},
		"ClientConn of another type": func(t *testing.T, c *hauberk.Chain) (grpc.ClientConnInterface, *grpc.ClientConn) {
			return c.ClientConn(answering{bare(t, replying("own"))}), nil
		},
	} {
		for _, kind := range allKinds {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				other := bare(t, replying("other"))
				for want, to := range map[string]*grpc.ClientConn{"own": nil, "other": other} {
					var given []*grpc.ClientConn
					target := ""
					seen := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
						target = call.Target()
						return next(ctx, call)
					})
					conn, own := attach(t, hauberk.Must(hauberk.New(routing(to, &given), seen, routing(nil, &given))))
					text, err := exchange(t, conn, kind)
					wantCode(t, err, codes.OK)
					inner := own
					if to != nil {
						inner = to
					}
					if text != want || len(given) != 2 || given[0] != own || given[1] != inner {
						t.Errorf("%q answered, want %q; the interceptors were given %v", text, want, given)
					}
					if inner != nil && target != inner.CanonicalTarget() || inner == nil && target != "" {
						t.Errorf("Target is %q", target)
					}
				}
			})
		}
	}
}

// fromUnary is an adapter around a unary interceptor.
func fromUnary(f grpc.UnaryClientInterceptor) hauberk.Interceptor {
	return hauberk.FromClient(f, hauberk.PassStreamClient)
}

// TestReplyOfAnAdapter: a response is decoded into the message that a unary interceptor of
// grpc-go passes to its invoker, of any type, and the application receives what
// the interceptor puts into the message that it was given, and nothing else.
func TestReplyOfAnAdapter(t *testing.T) {
	redact := func(ctx context.Context, method string, req, resp any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		whole := new(testpb.Response)
		err := invoke(ctx, method, req, whole, cc, opts...)
		resp.(*testpb.Response).Index = whole.GetIndex()
		return err
	}
	raw := func(ctx context.Context, method string, req, resp any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		encoded, err := proto.Marshal(req.(proto.Message))
		if err != nil {
			return err
		}
		var got []byte
		if err := invoke(ctx, method, &encoded, &got, cc, append(opts, grpc.ForceCodec(rawCodec{}))...); err != nil {
			return err
		}
		return proto.Unmarshal(got, resp.(proto.Message))
	}
	twice := func(ctx context.Context, method string, req, resp any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if err := invoke(ctx, method, req, resp, cc, opts...); err != nil {
			return err
		}
		return invoke(ctx, method, req, resp, cc, opts...)
	}
	secret := &testpb.Response{Text: "secret", Index: 7}
	for name, tc := range map[string]struct {
		f    grpc.UnaryClientInterceptor
		want *testpb.Response
	}{
		"its own message":         {redact, &testpb.Response{Index: 7}},
		"a message of other type": {raw, secret},
		"two attempts":            {twice, secret},
	} {
		for place, inner := range map[string][]hauberk.Interceptor{
			"": nil, "/adapter": {adapted()}, "/hedge": {hedge(nil)}, "/retry": {retry(2)},
		} {
			t.Run(name+place, func(t *testing.T) {
				backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error { return s.Send(secret) }}
				for world, conn := range map[string]grpc.ClientConnInterface{
					"bare":  bare(t, backend, grpc.WithChainUnaryInterceptor(tc.f)),
					"chain": behind(t, backend, append([]hauberk.Interceptor{fromUnary(tc.f)}, inner...)...),
					"hedge": behind(t, backend, append([]hauberk.Interceptor{hedge(nil), fromUnary(tc.f)}, inner...)...),
				} {
					resp, err := testpb.NewTestServiceClient(conn).Unary(patient(t), message("a"))
					if err != nil || !proto.Equal(resp, tc.want) {
						t.Errorf("%s: received %v, %v; want %v", world, resp, err, tc.want)
					}
				}
			})
		}
	}
}

// TestConcurrentInvocations: a unary interceptor of grpc-go may call its invoker from
// several goroutines at once; the call has the metadata and the counts of an attempt that
// succeeded.
func TestConcurrentInvocations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hedges := func(ctx context.Context, method string, req, resp any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			ctx, cancel := context.WithCancel(ctx)
			var running sync.WaitGroup
			defer running.Wait()
			defer cancel()
			good := make(chan *testpb.Response, 3)
			for range 3 {
				running.Go(func() {
					own := new(testpb.Response)
					if err := invoke(ctx, method, req, own, cc, opts...); err == nil {
						good <- own
					}
				})
				synctest.Wait()
			}
			proto.Merge(resp.(*testpb.Response), <-good)
			return nil
		}
		var calls atomic.Int64
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			if n := calls.Add(1); n != 2 {
				return wait(ctx, s)
			}
			_ = s.SetHeader(metadata.Pairs("x-attempt", "2"))
			return s.Send(response("second"))
		}}
		seen := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.CaptureMetadata()
			err := next(ctx, call)
			if got := call.Header().Get("x-attempt"); len(got) != 1 || call.Sent() != 1 || call.Received() != 1 {
				t.Errorf("header %v, %d sent, %d received", got, call.Sent(), call.Received())
			}
			return err
		})
		text, err := exchange(t, behind(t, backend, seen, fromUnary(hedges), passThrough(), retry(2)), hauberk.Unary)
		if text != "second" || err != nil {
			t.Errorf("received %q, %v", text, err)
		}
	})
}
