package authzext_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authz/authzext"
)

// hanging returns a service that does not answer. It reports when a check has arrived and when it
// has been cancelled.
func hanging() (s *service, arrived, cancelled chan struct{}) {
	arrived, cancelled = make(chan struct{}, 100), make(chan struct{}, 100)
	return &service{answer: func(ctx context.Context, _ *authv3.CheckRequest) (*authv3.CheckResponse, error) {
		arrived <- struct{}{}
		<-ctx.Done()
		cancelled <- struct{}{}
		return nil, status.FromContextError(ctx.Err()).Err()
	}}, arrived, cancelled
}

// A check that takes too long is cancelled, and the call rejected, or admitted with FailOpen.
func TestTimeout(t *testing.T) {
	for _, cache := range []time.Duration{0, time.Hour} {
		for open, want := range map[bool]codes.Code{false: codes.Unavailable, true: codes.OK} {
			eachKind(t, func(t *testing.T, c hauberktest.Case) {
				svc, _, _ := hanging()
				s := start(t, c, ext(t, svc, authzext.Config{Timeout: 20 * time.Millisecond, FailOpen: open, CacheFor: cache}))
				wantCode(t, s.Call(t.Context()).Err, want)
			})
		}
	}
}

// A call that is cancelled while it is checked ends its check.
func TestCancelled(t *testing.T) {
	for _, cache := range []time.Duration{0, time.Hour} {
		eachKind(t, func(t *testing.T, c hauberktest.Case) {
			svc, arrived, cancelled := hanging()
			s := start(t, c, ext(t, svc, authzext.Config{FailOpen: true, CacheFor: cache}))
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-arrived
				cancel()
			}()
			wantCode(t, s.Call(ctx).Err, codes.Canceled)
			<-cancelled
			if end := <-s.ended; hauberk.CodeOf(end.err) != codes.Canceled || s.calls.Load() != 0 {
				t.Errorf("the outcome is %v", end.err)
			}
		})
	}
}

// A deadline of the client's is never mistaken for a service that does not answer in time, so that
// FailOpen does not admit the call. The time of the service itself ends exactly when it should.
func TestDeadlines(t *testing.T) {
	for _, cache := range []time.Duration{0, time.Hour} {
		for _, kind := range kinds {
			synctest.Test(t, func(t *testing.T) {
				conn := &blocking{release: make(chan struct{})}
				s := start(t, hauberktest.Case{Kind: kind}, authzext.New(authzext.Config{Conn: conn, CacheFor: cache, FailOpen: true}))
				ctx, cancel := context.WithTimeout(t.Context(), authzext.DefaultTimeout/2)
				defer cancel()
				wantCode(t, s.Call(ctx).Err, codes.DeadlineExceeded)
				synctest.Wait()
				if end := <-s.ended; s.calls.Load() != 0 || conn.cancelled.Load() != 1 {
					t.Errorf("the outcome is %v, %d checks were cancelled", end.err, conn.cancelled.Load())
				}
				began := time.Now()
				wantCode(t, s.Call(t.Context()).Err, codes.OK)
				if took := time.Since(began); took != authzext.DefaultTimeout || conn.cancelled.Load() != 2 {
					t.Errorf("admitted after %v; want %v", took, authzext.DefaultTimeout)
				}
			})
		}
	}
}

// A check is not cut by the deadline of the call on the wire: the service receives its own.
func TestOwnDeadline(t *testing.T) {
	left := make(chan time.Duration, 1)
	svc := &service{answer: func(ctx context.Context, _ *authv3.CheckRequest) (*authv3.CheckResponse, error) {
		deadline, _ := ctx.Deadline()
		left <- time.Until(deadline)
		return allowed(), nil
	}}
	s := start(t, hauberktest.Case{}, ext(t, svc, authzext.Config{Timeout: 10 * time.Hour}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	wantCode(t, s.Call(ctx).Err, codes.OK)
	if got := <-left; got < 2*time.Hour {
		t.Errorf("the service has %v", got)
	}
}

// The connection is lost during a check: the call fails closed.
func TestConnectionCloses(t *testing.T) {
	for open, want := range map[bool]codes.Code{false: codes.Unavailable, true: codes.OK} {
		svc, arrived, _ := hanging()
		srv, addr := svc.serve(t, "127.0.0.1:0")
		s := start(t, hauberktest.Case{Kind: hauberk.Bidi}, authzext.New(authzext.Config{Conn: dial(t, addr), Timeout: long, FailOpen: open}))
		stopped := make(chan struct{})
		go func() {
			<-arrived
			defer close(stopped)
			srv.Stop()
		}()
		wantCode(t, s.Call(t.Context()).Err, want)
		<-stopped
	}
}

// No service listens.
func TestUnreachable(t *testing.T) {
	lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := lis.Close(); err != nil {
		t.Fatal(err)
	}
	eachKind(t, func(t *testing.T, c hauberktest.Case) {
		s := start(t, c, authzext.New(authzext.Config{Conn: dial(t, lis.Addr().String()), Timeout: long}))
		out := s.Call(t.Context())
		wantCode(t, out.Err, codes.Unavailable)
		if hauberk.Reason(out.Err) != authzext.ReasonUnavailable {
			t.Error(out.Err)
		}
	})
}

// While the service restarts, no call is admitted that it would deny, and afterwards calls are
// admitted again.
func TestRestart(t *testing.T) {
	svc := &service{answer: func(_ context.Context, req *authv3.CheckRequest) (*authv3.CheckResponse, error) {
		if req.GetAttributes().GetRequest().GetHttp().GetHeaders()["x-user"] == "eve" {
			return deny(403), nil
		}
		return allowed(), nil
	}}
	srv, addr := svc.serve(t, "127.0.0.1:0")
	s := start(t, hauberktest.Case{Kind: hauberk.ServerStream}, authzext.New(authzext.Config{Conn: dial(t, addr), Timeout: long}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var callers sync.WaitGroup
	var allowedCalls atomic.Int64
	for i := range 4 {
		user := []string{"alice", "eve"}[i%2]
		callers.Go(func() {
			for ctx.Err() == nil {
				err := s.Call(with(ctx, "x-user", user)).Err
				switch c := status.Code(err); {
				case user == "alice" && c == codes.OK:
					allowedCalls.Add(1)
				case user == "eve" && c == codes.PermissionDenied, c == codes.Unavailable, c == codes.Canceled:
				default:
					t.Errorf("%s: %v", user, err)
					return
				}
			}
		})
	}
	more := func() { // further calls are admitted
		for before := allowedCalls.Load(); allowedCalls.Load() < before+5; {
			if err := s.Call(with(ctx, "x-user", "alice")).Err; err == nil {
				allowedCalls.Add(1)
			}
		}
	}
	more()
	for range 3 {
		srv.Stop()
		wantCode(t, s.Call(with(ctx, "x-user", "eve")).Err, codes.Unavailable)
		srv, _ = svc.serve(t, addr)
		more()
	}
	cancel()
	callers.Wait()
}

// A connection that panics fails closed. Callers that share its check are not left waiting.
func TestPanickingConnection(t *testing.T) {
	eachKind(t, func(t *testing.T, c hauberktest.Case) {
		s := start(t, c, authzext.New(authzext.Config{Conn: panicking{}, CacheFor: time.Hour, FailOpen: true}))
		wantCode(t, s.Call(t.Context()).Err, codes.Unavailable)
	})
}

type panicking struct{ hauberktest.Conn }

func (panicking) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	panic("connection")
}

// A shared check has none of the values of a call, and an own one has those of its call.
func TestContextOfCheck(t *testing.T) {
	type key struct{}
	for cache, want := range map[time.Duration]any{0: "value", time.Hour: nil} {
		conn := &recording{key: key{}}
		outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			return next(context.WithValue(ctx, key{}, "value"), call)
		})
		s := start(t, hauberktest.Case{}, outer, authzext.New(authzext.Config{Conn: conn, CacheFor: cache}))
		_ = s.Call(t.Context())
		if conn.value != want {
			t.Errorf("%v: got %v, want %v", cache, conn.value, want)
		}
	}
}

// recording is a connection that records a value of the context.
type recording struct {
	hauberktest.Conn

	key, value any
}

func (r *recording) Invoke(ctx context.Context, _ string, _, _ any, _ ...grpc.CallOption) error {
	r.value = ctx.Value(r.key)
	return nil
}
