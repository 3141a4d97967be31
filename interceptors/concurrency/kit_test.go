package concurrency_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
)

// serve returns a function that serves one call behind a chain, without a network. handle is what runs
// inside; nil returns OK.
func serve(
	t testing.TB, handle hauberk.Interceptor, interceptors ...hauberk.Interceptor,
) func(ctx context.Context) error {
	t.Helper()
	if handle != nil {
		interceptors = append(interceptors, handle)
	}
	return hauberktest.Direct{}.Server(chainOf(t, interceptors...))
}

func chainOf(t testing.TB, interceptors ...hauberk.Interceptor) *hauberk.Chain {
	t.Helper()
	chain, err := hauberk.New(interceptors...)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// lasting is a call that lasts for a time.
func lasting(d time.Duration) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		select {
		case <-time.After(d):
			return next(ctx, call)
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	})
}

// with is the context of an incoming call with metadata.
func with(ctx context.Context, pairs ...string) context.Context {
	return metadata.NewIncomingContext(ctx, metadata.Pairs(pairs...))
}

// blocking is a backend whose calls last until the test ends them.
type blocking struct {
	hauberktest.Backend

	running atomic.Int64
	release chan struct{}
}

func newBlocking() *blocking {
	b := &blocking{release: make(chan struct{})}
	b.Handle = func(ctx context.Context, s hauberktest.Stream) error {
		b.running.Add(1)
		defer b.running.Add(-1)
		select {
		case <-b.release:
			return hauberktest.Echo(ctx, s)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return b
}

// until waits for a condition that another goroutine makes true.
func until(t *testing.T, what string, ready func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ready(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("waited for a minute until %s", what)
		}
	}
}

// begin makes a call on another goroutine, and returns when the backend runs it.
func (b *blocking) begin(ctx context.Context, t *testing.T, env *hauberktest.Env) (outcome <-chan error) {
	t.Helper()
	before := b.running.Load()
	outcomes := make(chan error, 1)
	go func() { outcomes <- env.Call(ctx).Err }()
	until(t, "a call runs", func() bool { return b.running.Load() > before })
	return outcomes
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func wantRejected(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	wantCode(t, err, code)
	if got := hauberk.Reason(err); got != reason {
		t.Errorf("reason %q of %v, want %s", got, err, reason)
	}
}

// wantIdle waits until nothing is in flight: a client may know of the end of a call before the
// server has ended it.
func wantIdle(t *testing.T, x *concurrency.Interceptor) {
	t.Helper()
	until(t, "nothing is in flight", func() bool {
		s := x.Snapshot()
		return s.Running == 0 && s.Waiting == 0
	})
}

// retryAfter returns the delay in an error's google.rpc.RetryInfo, or -1.
func retryAfter(err error) time.Duration {
	for _, d := range hauberk.StatusOf(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration()
		}
	}
	return -1
}

// quotaOf returns the subject in an error's google.rpc.QuotaFailure.
func quotaOf(err error) string {
	for _, d := range hauberk.StatusOf(err).Details() {
		if quota, ok := d.(*errdetails.QuotaFailure); ok && len(quota.GetViolations()) == 1 {
			return quota.GetViolations()[0].GetSubject()
		}
	}
	return ""
}

// pairsOf returns the metadata of an incoming call as pairs.
func pairsOf(ctx context.Context) (pairs []string) {
	md, _ := metadata.FromIncomingContext(ctx)
	for key, values := range md {
		for _, value := range values {
			pairs = append(pairs, key, value)
		}
	}
	return pairs
}
