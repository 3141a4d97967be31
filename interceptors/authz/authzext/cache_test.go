package authzext_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authz/authzext"
)

// different is values of metadata that differ in a way that a careless key would not see.
var different = [][]string{
	nil,
	{"x-user", "a"},
	{"x-user", "b"},
	{"x-user", "a", "x-user", "b"},
	{"x-user", ""},
	{"x-usera", ""},
	{"x-user", "a", "x-z", "b"},
	{"x-login", "alice"},
	{"x-login", "alic", "x-user", "e"},
	{"x-bin-bin", "\x00"},
	{"x-bin-bin", ""},
}

// The answer for one call is never used for another in which anything differs that was sent.
func TestCacheKey(t *testing.T) {
	svc := &service{answer: func(_ context.Context, req *authv3.CheckRequest) (*authv3.CheckResponse, error) {
		seen := fmt.Sprint(req.GetAttributes().GetRequest().GetHttp().GetHeaders(), req.GetAttributes().GetMetadataContext().GetFilterMetadata()["id"])
		return setting(header("x-seen", fmt.Sprintf("%x", seen), 2)), nil
	}}
	eachKind(t, func(t *testing.T, c hauberktest.Case) {
		before := svc.checks.Load()
		x := ext(t, svc, authzext.Config{
			CacheFor: time.Hour, Identity: "id", Headers: []string{"x-*"}, WithoutHeaders: []string{"x-login", "x-ignored"},
			Body: &authzext.Body{MaxBytes: 1 << 10},
		})
		s := start(t, c, login{}, x)
		answers := make(map[string]bool)
		calls := 0
		for round := range 3 {
			for _, pairs := range different {
				for _, text := range []string{"one", "two"} {
					ignored := fmt.Sprint(round) // is not sent, so that it makes no difference
					if err := s.Call(with(with(t.Context(), pairs...), "x-ignored", ignored), text).Err; err != nil {
						t.Fatal(err)
					}
					calls++
					answers[fmt.Sprint((*s.seen.Load())["x-seen"])] = true
				}
			}
		}
		if got, want := svc.checks.Load()-before, int64(2*len(different)); got != want || len(answers) != len(different) {
			t.Errorf("%d calls: %d checks, want %d; %d answers, want %d", calls, got, want, len(answers), len(different))
		}
	})
}

// Answers are used until their time is over; failures, and denials that mean "not now", are not
// kept.
func TestCache(t *testing.T) {
	for name, test := range map[string]struct {
		resp *authv3.CheckResponse
		kept bool
	}{
		"allowed": {allowed(), true}, "denied": {deny(403), true}, "overloaded": {deny(503), false},
		"error": {reports(codes.Internal, 0), false}, "invalid": {new(authv3.CheckResponse), false},
	} {
		t.Run(name, func(t *testing.T) {
			svc, clock := always(test.resp), hauberktest.NewClock()
			s := start(t, hauberktest.Case{}, ext(t, svc, authzext.Config{CacheFor: time.Minute}, authzext.WithClock(clock.Now)))
			for i, step := range []struct {
				after time.Duration
				kept  int64
			}{{0, 1}, {0, 1}, {time.Minute - 1, 1}, {1, 2}, {time.Minute - 1, 2}} {
				clock.Advance(step.after)
				_ = s.Call(t.Context())
				want := step.kept
				if !test.kept {
					want = int64(i + 1)
				}
				if got := svc.checks.Load(); got != want {
					t.Errorf("call %d: %d checks, want %d", i, got, want)
				}
			}
			if port := svc.last.Load().GetAttributes().GetSource().GetAddress().GetSocketAddress().GetPortValue(); port != 0 {
				t.Errorf("the port is %d", port)
			}
		})
	}
}

// Without CacheFor the service is asked for each call.
func TestNoCache(t *testing.T) {
	svc := always(allowed())
	s := start(t, hauberktest.Case{}, ext(t, svc, authzext.Config{}))
	for range 3 {
		wantCode(t, s.Call(t.Context()).Err, codes.OK)
	}
	if n := svc.checks.Load(); n != 3 {
		t.Errorf("%d checks, want 3", n)
	}
}

// However many different calls there are, the cache has its size, and keeps answers in use.
func TestCacheIsBounded(t *testing.T) {
	svc := always(allowed())
	s := start(t, hauberktest.Case{}, ext(t, svc, authzext.Config{CacheFor: time.Hour, MaxCached: 10, Headers: []string{"x-user"}}))
	for i := range 100 {
		wantCode(t, s.Call(with(t.Context(), "x-user", "alice")).Err, codes.OK)
		wantCode(t, s.Call(with(t.Context(), "x-user", fmt.Sprint(i))).Err, codes.OK)
	}
	if n := svc.checks.Load(); n != 101 {
		t.Errorf("%d checks, want 101", n)
	}
	wantCode(t, s.Call(with(t.Context(), "x-user", "0")).Err, codes.OK)
	if n := svc.checks.Load(); n != 102 {
		t.Errorf("%d checks: the answer about a caller of long ago is kept", n)
	}
}

// TestDenialsDisplaceNone: callers that are denied displace no answer that allows calls.
func TestDenialsDisplaceNone(t *testing.T) {
	svc := &service{answer: func(_ context.Context, req *authv3.CheckRequest) (*authv3.CheckResponse, error) {
		if req.GetAttributes().GetRequest().GetHttp().GetHeaders()["x-user"] == "alice" {
			return allowed(), nil
		}
		return deny(403), nil
	}}
	s := start(t, hauberktest.Case{}, ext(t, svc, authzext.Config{CacheFor: time.Hour, MaxCached: 10, Headers: []string{"x-user"}}))
	for round := range 3 {
		wantCode(t, s.Call(with(t.Context(), "x-user", "alice")).Err, codes.OK)
		for i := range 50 {
			for range 2 { // the second time from the cache
				wantCode(t, s.Call(with(t.Context(), "x-user", fmt.Sprint(round, "-", i))).Err, codes.PermissionDenied)
			}
		}
	}
	if n := svc.checks.Load(); n != 1+3*50 {
		t.Errorf("%d checks; want one for alice and %d for others", n, 3*50)
	}
}

// Concurrent calls with equal checks share one request, which the end of one of them does not
// end. It ends with the last of them, and the next call begins another.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &blocking{release: make(chan struct{})}
		s := start(t, hauberktest.Case{Kind: hauberk.Bidi}, authzext.New(authzext.Config{Conn: conn, CacheFor: time.Hour, Timeout: long}))
		call := func(ctx context.Context) chan error {
			ended := make(chan error, 1)
			go func() { ended <- s.Call(ctx).Err }()
			synctest.Wait()
			return ended
		}
		expect := func(when string, begun, cancelled int64) {
			t.Helper()
			if b, c := conn.begun.Load(), conn.cancelled.Load(); b != begun || c != cancelled {
				t.Errorf("%s: %d requests, %d cancelled; want %d and %d", when, b, c, begun, cancelled)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		alone := call(ctx)
		cancel()
		wantCode(t, <-alone, codes.Canceled)
		synctest.Wait()
		expect("the only call has ended", 1, 1)

		ctx, cancel = context.WithCancel(t.Context())
		first := call(ctx)
		var others []chan error
		for range 10 {
			others = append(others, call(t.Context()))
		}
		cancel()
		wantCode(t, <-first, codes.Canceled)
		synctest.Wait()
		expect("one of the calls has ended", 2, 1)
		close(conn.release)
		for _, other := range others {
			wantCode(t, <-other, codes.OK)
		}
		wantCode(t, <-call(t.Context()), codes.OK)
		expect("all calls have ended", 2, 1)
	})
}

// blocking is a connection that answers when it is released.
type blocking struct {
	hauberktest.Conn

	release          chan struct{}
	begun, cancelled atomic.Int64
}

func (b *blocking) Invoke(ctx context.Context, _ string, _, reply any, _ ...grpc.CallOption) error {
	b.begun.Add(1)
	select {
	case <-b.release:
		proto.Merge(reply.(proto.Message), allowed())
		return nil
	case <-ctx.Done():
		b.cancelled.Add(1)
		return status.FromContextError(ctx.Err()).Err()
	}
}
