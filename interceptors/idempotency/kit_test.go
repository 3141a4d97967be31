package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
)

const unary = testpb.TestService_Unary_FullMethodName

var errDown = errors.New("down")

// login replaces authentication: the metadata key "user" is believed.
func login(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if user := call.Metadata(ctx, "user"); len(user) > 0 {
		hauberk.IdentityKey.Set(call, &hauberk.Identity{Subject: user[0], Scopes: call.Metadata(ctx, "scope")})
	}
	return next(ctx, call)
}

// world makes calls of a server's chain without a network.
type world struct {
	t         *testing.T
	intercept func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error)
	method    string
	handle    func(ctx context.Context) error
	handled   atomic.Int64
}

func newWorld(t *testing.T, interceptors ...hauberk.Interceptor) *world {
	t.Helper()
	chain, err := hauberk.New(interceptors...)
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, intercept: chain.UnaryServerInterceptor(), method: unary}
}

// caller is a call, which may run on a goroutine.
type caller struct {
	done            atomic.Bool // the others are set
	text            string
	header, trailer metadata.MD
	err             error
	panic           any
}

// call makes a call with a key and further metadata. The answer has the number of calls that were handled.
func (w *world) call(ctx context.Context, text, key string, pairs ...string) (c *caller) {
	c = new(caller)
	defer func() {
		c.panic = recover()
		c.done.Store(true)
	}()
	md := metadata.Pairs(pairs...)
	if key != "" {
		md.Append(idempotency.Header, key)
	}
	stream := new(hauberktest.TransportStream)
	ctx = grpc.NewContextWithServerTransportStream(metadata.NewIncomingContext(ctx, md), stream)
	info := &grpc.UnaryServerInfo{FullMethod: w.method}
	got, err := w.intercept(ctx, &testpb.Request{Text: text}, info, func(ctx context.Context, _ any) (any, error) {
		n := w.handled.Add(1)
		_ = grpc.SetHeader(ctx, metadata.Pairs("h", "1", "b-bin", "\xff\x00"))
		_ = grpc.SetTrailer(ctx, metadata.Pairs("t", "1"))
		if w.handle != nil {
			if err := w.handle(ctx); err != nil {
				return nil, err
			}
		}
		return &testpb.Response{Text: fmt.Sprint(text, " ", n)}, nil
	})
	c.header, c.trailer, c.err = stream.Header, stream.Trailer, err
	if err == nil {
		c.text = got.(*testpb.Response).GetText()
	}
	return c
}

// start makes a call on a goroutine, in a synctest bubble, and returns once it waits.
func (w *world) start(ctx context.Context, text, key string, pairs ...string) *caller {
	c := new(caller)
	go func() {
		got := w.call(ctx, text, key, pairs...)
		c.text, c.header, c.trailer, c.err, c.panic = got.text, got.header, got.trailer, got.err, got.panic
		c.done.Store(true)
	}()
	synctest.Wait()
	return c
}

func (w *world) wants(want string, got *caller) {
	w.t.Helper()
	if got.err != nil || got.text != want {
		w.t.Errorf("%q, %v; want %q", got.text, got.err, want)
	}
}

func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// faulty is a store that fails on request.
type faulty struct {
	idempotency.Store

	begin, renew, finish atomic.Bool
	hang                 atomic.Bool // until the context ends, instead of an error
}

func (f *faulty) fail(ctx context.Context, now *atomic.Bool) error {
	if !now.Load() {
		return nil
	}
	if f.hang.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return errDown
}

func (f *faulty) Begin(
	ctx context.Context, key idempotency.Key, owner string, of idempotency.Fingerprint, lease time.Duration,
) (idempotency.Record, error) {
	if err := f.fail(ctx, &f.begin); err != nil {
		return idempotency.Record{}, err
	}
	return f.Store.Begin(ctx, key, owner, of, lease)
}

func (f *faulty) Renew(ctx context.Context, key idempotency.Key, owner string, lease time.Duration) (bool, error) {
	if err := f.fail(ctx, &f.renew); err != nil {
		return false, err
	}
	return f.Store.Renew(ctx, key, owner, lease)
}

func (f *faulty) Finish(
	ctx context.Context, key idempotency.Key, owner string, of idempotency.Fingerprint, text []byte, ttl time.Duration,
) (bool, error) {
	if err := f.fail(ctx, &f.finish); err != nil {
		return false, err
	}
	return f.Store.Finish(ctx, key, owner, of, text, ttl)
}
