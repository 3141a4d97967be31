package hauberk_test

import (
	"context"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// invalid is not UTF-8, which protobuf cannot encode as a string.
const invalid = "\xff"

// TestUnsent: an attempt that failed before its request could be sent is distinguished
// from others.
func TestUnsent(t *testing.T) {
	rejects := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
		return hauberk.Reject(codes.Unavailable, "LOCAL", "rejected here")
	})
	fails := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { return errDown })
	expires := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { return context.DeadlineExceeded })
	answers := hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
		return call.Reply(&testpb.Response{})
	})
	unencodable := status.Error(codes.Internal, "grpc: error while marshaling: of the response")
	illegalKey := status.Error(codes.Internal, `header key "Key" contains illegal characters not in [0-9a-z-_.]`)
	with := func(creds credentials.PerRPCCredentials) hauberk.Interceptor {
		return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.AddOptions(grpc.PerRPCCredentials(creds))
			return next(ctx, call)
		})
	}
	marks := hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
		call.SetUnsent()
		return errDown
	})
	marksLate := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		call.SetUnsent() // too late
		return err
	})
	for _, c := range []struct {
		name   string
		inner  hauberk.Interceptor
		ctx    func(context.Context) context.Context
		text   string
		answer error
		want   bool
	}{
		{name: "answered"},
		{name: "failed", answer: status.Error(codes.Unavailable, "down")},
		{name: "rejected", inner: rejects},
		{name: "failed inside", inner: fails},
		{name: "answered inside", inner: answers},
		{name: "expired inside", inner: expires, want: true},
		{name: "cancelled before", ctx: cancelled, want: true},
		{name: "expired before", ctx: expired, want: true},
		{name: "message not encodable", text: invalid, want: true},
		{name: "response not encodable", answer: unencodable},
		{name: "metadata not encodable", ctx: func(ctx context.Context) context.Context {
			return metadata.AppendToOutgoingContext(ctx, "key", "\x00")
		}, want: true},
		{name: "metadata with an illegal key", ctx: func(ctx context.Context) context.Context {
			return metadata.AppendToOutgoingContext(ctx, "a key", "value")
		}, want: true},
		{name: "metadata with an upper-case key", ctx: func(ctx context.Context) context.Context {
			return metadata.NewOutgoingContext(ctx, metadata.MD{"Key": {"value"}})
		}, want: true},
		{name: "metadata of the server not encodable", answer: illegalKey, ctx: func(ctx context.Context) context.Context {
			return metadata.AppendToOutgoingContext(ctx, "other", "value")
		}},
		{name: "marked", inner: marks, want: true},
		{name: "marked after next", inner: marksLate, answer: errDown},
		{name: "credentials", inner: with(tokens{md: map[string]string{"key": "value"}})},
		{name: "credentials of a call that fails", inner: with(tokens{}), answer: errDown},
		{name: "credentials fail with a status", inner: with(tokens{err: errDown}), want: true},
		{name: "credentials fail", inner: with(tokens{err: io.ErrUnexpectedEOF}), want: true},
		{name: "credentials not encodable", inner: with(tokens{md: map[string]string{"key": "\x00"}}), want: true},
		{name: "credentials that require security", inner: with(tokens{secure: true}), want: true},
		{name: "adapter", inner: adapter()},
		{name: "message not encodable behind an adapter", inner: adapter(), text: invalid, want: true},
		{name: "expired behind an adapter", inner: adapter(), ctx: expired, want: true},
	} {
		for _, kind := range allKinds {
			t.Run(c.name+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				got := make(chan bool, 1)
				look := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					defer func() { got <- call.Unsent() }()
					return next(ctx, call)
				})
				interceptors := []hauberk.Interceptor{look}
				if c.inner != nil {
					interceptors = append(interceptors, c.inner)
				}
				backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
					if c.answer != nil {
						return c.answer
					}
					return hauberktest.Echo(ctx, s)
				}}
				env := hauberktest.Start(t, hauberktest.Setup{
					Backend: backend, Kind: kind, Client: hauberk.Must(hauberk.New(interceptors...)),
				})
				ctx := t.Context()
				if c.ctx != nil {
					ctx = c.ctx(ctx)
				}
				out := env.Call(ctx, c.text)
				if unsent := <-got; unsent != c.want {
					t.Errorf("Unsent is %t after %v", unsent, out.Err)
				}
			})
		}
	}
}

// tokens are credentials with fixed answers.
type tokens struct {
	md     map[string]string
	err    error
	secure bool
}

func (c tokens) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return c.md, c.err
}
func (c tokens) RequireTransportSecurity() bool { return c.secure }

func cancelled(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

func expired(ctx context.Context) context.Context {
	ctx, cancel := context.WithDeadline(ctx, time.Unix(0, 0))
	cancel()
	return ctx
}

// adapter is an adapter around interceptors of grpc-go that do nothing.
func adapter() hauberk.Interceptor {
	return hauberk.FromClient(
		func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return invoke(ctx, method, req, reply, cc, opts...)
		},
		func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return open(ctx, desc, cc, method, opts...)
		})
}

// TestUnsentOfAttempts: Unsent is that of the last attempt, concurrent ones
// included.
func TestUnsentOfAttempts(t *testing.T) {
	hauberktest.CheckLeaks(t)
	var got []bool
	n := 0
	look := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		copied := call.Attempt()
		_ = next(ctx, copied)
		got = append(got, call.Unsent(), copied.Unsent())
		call.Adopt(copied)
		got = append(got, call.Unsent())
		for range 2 {
			_ = next(ctx, call)
			got = append(got, call.Unsent())
		}
		return errDown
	})
	inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		n++
		if n == 3 {
			return context.DeadlineExceeded
		}
		return next(ctx, call)
	})
	env := hauberktest.Start(t, hauberktest.Setup{Backend: failing(9).Backend, Client: hauberk.Must(hauberk.New(look, inner))})
	_ = env.Call(t.Context())
	want := []bool{false, false, false, false, true}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("Unsent is %v, want %v", got, want)
		}
	}
}
