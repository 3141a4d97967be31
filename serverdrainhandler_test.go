package hauberk_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// TestStreamsOutsideOfTheirHandlers: a stream that the shutdown ends before its handler has begun does not reach
// it. One whose handler has returned has the outcome of the handler, for its client and for the chain.
func TestStreamsOutsideOfTheirHandlers(t *testing.T) {
	for name, start := range ways {
		for _, kind := range allKinds[1:] {
			for _, returned := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%v/returned=%t", name, kind, returned), func(t *testing.T) {
					shutDownOutside(t, start, kind, returned)
				})
			}
		}
	}
}

func shutDownOutside(t *testing.T, start wayToServe, kind hauberk.Kind, returned bool) {
	hauberktest.CheckLeaks(t)
	other := hauberk.Bidi // of a stream whose handler runs
	if kind == other {
		other = hauberk.ServerStream
	}
	waiting, goOn, seen := make(chan struct{}, 2), make(chan struct{}), make(chan error, 1)
	chain := hauberk.Must(hauberk.Config{Drain: hauberk.Drain{Grace: soon}}.New(
		hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if call.Kind() == other {
				return next(ctx, call)
			}
			if !returned {
				waiting <- struct{}{}
				<-ctx.Done()
			}
			err := next(ctx, call)
			if returned {
				waiting <- struct{}{}
				<-goOn
			}
			seen <- err
			return err
		})))
	srv := chain.NewServer()
	var handled atomic.Int64
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		if hauberk.FromContext(ctx).Kind() == other {
			waiting <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}
		handled.Add(1)
		return hauberktest.Echo(ctx, s)
	}})
	conn := start(t, srv)
	outcome, runs, stopped := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := echo(patient(t), conn, kind, hauberktest.FullMethod(kind))
		outcome <- err
	}()
	go func() { runs <- runOpen(patient(t), conn, other) }()
	<-waiting
	<-waiting
	go func() { stopped <- srv.Shutdown(patient(t)) }()
	wantShuttingDown(t, <-runs)
	close(goOn)
	if returned {
		wantCode(t, <-outcome, codes.OK)
		wantCode(t, <-seen, codes.OK)
	} else {
		wantShuttingDown(t, <-outcome)
		wantShuttingDown(t, <-seen)
	}
	if n := handled.Load(); n > 0 != returned {
		t.Errorf("the handler ran %d times", n)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
