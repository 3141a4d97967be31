package recovery_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
)

// runtime.Goexit, which t.FailNow calls, ends the call: the client does not wait for its
// deadline. Deferred code of the outer interceptors runs, code after next does not.
func TestGoexit(t *testing.T) {
	for _, s := range sites {
		t.Run(s.name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				if s.serverOnly {
					c.Side = hauberk.ServerSide
				}
				testGoexit(t, c, s)
			})
		})
	}
}

func testGoexit(t *testing.T, c hauberktest.Case, s site) {
	t.Helper()
	var log journal
	w := deferring{ended: make(chan struct{}, 2)}
	bad := &trap{spell: runtime.Goexit}
	x := recovery.New(recovery.Config{}, recovery.WithLogger(log.logger()))
	env := start(t, c, s, bad, x, &w)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	bad.armed.Store(true)
	out, returned := callElsewhere(ctx, env)
	switch {
	case c.Side == hauberk.ServerSide && !returned:
		t.Error("the client's own goroutine ended")
	case c.Side == hauberk.ServerSide:
		checkFixed(t, c, out, hauberk.ErrGoexit)
	case returned && status.Code(out.Err) != codes.Internal: // the goroutine of the chain has ended
		t.Errorf("the call ended with %v, want INTERNAL", out.Err)
	}
	if ctx.Err() != nil {
		t.Error("the call went on until its deadline")
	}
	bad.armed.Store(false)
	if out := env.Call(ctx); out.Err != nil {
		t.Errorf("the next call ended with %v", out.Err)
	}
	env.Server.GracefulStop()
	if got := x.Panics(); got != 1 {
		t.Errorf("%d panics counted, want 1", got)
	}
	if got := len(log.records(t)); got != 1 {
		t.Errorf("%d log records, want 1", got)
	}
	if len(s.chain(x, &w, nil)) == 3 {
		<-w.ended // a stream without a reader ends with its context, concurrently with the test
		<-w.ended
	}
}

// callElsewhere makes a call on another goroutine, which interceptors and hooks of a client
// may end.
func callElsewhere(ctx context.Context, env *hauberktest.Env) (out hauberktest.Outcome, returned bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		out = env.Call(ctx)
		returned = true
	}()
	<-done
	return out, returned
}

// deferring signals the end of each call in deferred code.
type deferring struct{ ended chan struct{} }

func (d *deferring) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	defer func() { d.ended <- struct{}{} }()
	return next(ctx, call)
}

// Each call that ends by Goexit is counted.
func TestGoexitOfEachCall(t *testing.T) {
	hauberktest.CheckLeaks(t)
	c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Bidi}
	x := recovery.New(recovery.Config{}, recovery.WithLogger(new(journal).logger()))
	env := c.StartWith(t, &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
		runtime.Goexit()
		return nil
	}}, x)
	for range 3 {
		if got := status.Code(env.Call(t.Context()).Err); got != codes.Internal {
			t.Errorf("code %s, want Internal", got)
		}
	}
	env.Server.GracefulStop()
	if got := x.Panics(); got != 3 {
		t.Errorf("%d panics counted, want 3", got)
	}
}

func TestGoexitIsNoOtherError(t *testing.T) {
	x := recovery.New(recovery.Config{}, recovery.WithLogger(new(journal).logger()))
	err := panicOf(t, x, errors.New("another"))
	if errors.Is(err, hauberk.ErrGoexit) || !errors.Is(err, recovery.ErrPanic) {
		t.Errorf("errors.Is finds Goexit in %v", err)
	}
}
