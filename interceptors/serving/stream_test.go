package serving_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/serving"
)

// A change ends the streams that the new state does not accept, with its status, also if their handlers ignore it.
// Unary calls go on, and so do streams that it accepts. Idle waits for those that it does not accept.
func TestSetEndsStreams(t *testing.T) {
	hauberktest.CheckLeaks(t)
	const only = serving.State("client-streams")
	x := serving.New(serving.Config{Initial: serving.Serving, States: map[serving.State]serving.Rule{
		only: {Methods: []string{method(hauberk.ClientStream)}, Code: codes.FailedPrecondition},
	}})
	h, over := newHandler(), make(chan struct{}, len(kinds))
	outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		over <- struct{}{} // x has counted the end of the call
		return err
	})
	env := hauberktest.Case{}.StartWith(t, h.backend(), outer, x)
	outcomes := map[hauberk.Kind]chan error{}
	for _, kind := range kinds {
		outcome := make(chan error, 1)
		outcomes[kind] = outcome
		go func() { outcome <- open(patient(t), env.Conn, kind) }()
		<-h.entered
	}
	set(t, x, only)
	for _, kind := range []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi} {
		wantStatus(t, <-outcomes[kind], codes.FailedPrecondition, "SERVER_CLIENT_STREAMS")
		if cause := <-h.left; !errors.Is(cause, serving.ErrNotAccepted) {
			t.Errorf("%v: the cause of the context is %v", kind, cause)
		}
		<-over
	}
	if len(outcomes[hauberk.Unary])+len(outcomes[hauberk.ClientStream]) > 0 {
		t.Error("a call has ended that may go on")
	}
	if running, ended := measured(x, "serving_running", method(hauberk.Unary)), measured(x, "serving_ended_total", string(only)); running != 1 || ended != 2 {
		t.Errorf("%v unary calls run, %v streams ended; want 1, 2", running, ended)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := x.Idle(done); !errors.Is(err, context.Canceled) {
		t.Errorf("Idle returned %v, while a unary call runs", err)
	}
	if n := measured(x, "serving_not_accepted", ""); n != 1 {
		t.Errorf("%v calls run that are not accepted; want 1", n)
	}
	idle := make(chan error, 1)
	go func() { idle <- x.Idle(patient(t)) }()
	close(h.release)
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream} {
		wantStatus(t, <-outcomes[kind], codes.OK, "")
	}
	if err := <-idle; err != nil {
		t.Error(err)
	}
}

// A stream that waits for a message ends as well.
func TestSetEndsReceives(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi} {
		hauberktest.CheckLeaks(t)
		x := serving.New(serving.Config{Initial: serving.Serving})
		entered := make(chan struct{}, 1)
		env := hauberktest.Case{}.StartWith(t, &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
			entered <- struct{}{}
			for {
				if _, err := s.Recv(); err != nil {
					return err
				}
			}
		}}, x)
		outcome := make(chan error, 1)
		go func() { outcome <- open(patient(t), env.Conn, kind) }()
		<-entered
		set(t, x, serving.Maintenance)
		wantStatus(t, <-outcome, codes.Unavailable, serving.ReasonMaintenance)
		if err := x.Idle(patient(t)); err != nil {
			t.Error(err)
		}
	}
}

// Streams go on for the grace time, and longer if the state changes to one that accepts them. With two changes the
// shorter rest counts. They go on with KeepStreams.
func TestGrace(t *testing.T) {
	const short, long, keep, once = serving.State("short"), serving.State("long"), serving.State("keep"), serving.State("at-once")
	config := serving.Config{Initial: serving.Serving, States: map[serving.State]serving.Rule{
		short: {Grace: time.Minute}, long: {Grace: time.Hour}, keep: {KeepStreams: true}, once: {},
	}}
	for name, c := range map[string]struct {
		to     []serving.State // with 30 s between them
		after  time.Duration   // from the first change
		reason string
	}{
		"grace":          {[]serving.State{short}, time.Minute, "SERVER_SHORT"},
		"shorter second": {[]serving.State{long, short}, 90 * time.Second, "SERVER_SHORT"},
		"longer second":  {[]serving.State{short, long}, time.Minute, "SERVER_LONG"},
		"back":           {[]serving.State{short, serving.Serving, short}, 2 * time.Minute, "SERVER_SHORT"},
		"kept":           {[]serving.State{short, keep, short}, 2 * time.Minute, "SERVER_SHORT"},
		"at once":        {[]serving.State{long, once}, 30 * time.Second, "SERVER_AT_ONCE"},
	} {
		for _, kind := range streams {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					x, h := serving.New(config), newHandler()
					env := hauberktest.Case{}.StartWith(t, h.backend(), x)
					outcome := make(chan error, 1)
					go func() { outcome <- open(t.Context(), env.Conn, kind) }()
					<-h.entered
					begin := time.Now()
					for i, to := range c.to {
						if i > 0 {
							<-time.After(30 * time.Second)
						}
						set(t, x, to)
					}
					wantStatus(t, <-outcome, codes.Unavailable, c.reason)
					if took := time.Since(begin); took != c.after {
						t.Errorf("the stream ended after %v; want %v", took, c.after)
					}
				})
			})
		}
	}
}

// A stream that ends during its grace time ends as it would.
func TestEndDuringGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, h := serving.New(serving.Config{Initial: serving.Serving}), newHandler()
		env := hauberktest.Case{}.StartWith(t, h.backend(), x)
		outcome := make(chan error, 1)
		go func() { outcome <- open(t.Context(), env.Conn, hauberk.Bidi) }()
		<-h.entered
		set(t, x, serving.Draining)
		close(h.release)
		wantStatus(t, <-outcome, codes.OK, "")
		if err := x.Idle(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Streams that begin while the state changes are rejected or ended: none runs on.
func TestStreamsDuringChanges(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for range 30 {
		x, h := serving.New(serving.Config{Initial: serving.Serving}), newHandler()
		env := hauberktest.Case{}.StartWith(t, h.backend(), x)
		outcomes := make(chan error, 8)
		for i := range cap(outcomes) {
			go func() { outcomes <- open(patient(t), env.Conn, streams[i%len(streams)]) }()
		}
		<-h.entered
		set(t, x, serving.Maintenance)
		for range cap(outcomes) {
			wantStatus(t, <-outcomes, codes.Unavailable, serving.ReasonMaintenance)
		}
	}
}

// Shutdown ends the streams of a server of grpc-go on a socket, those of the health service too. The state remains.
func TestShutdown(t *testing.T) {
	hauberktest.CheckLeaks(t)
	state := health.NewServer()
	x := serving.New(serving.Config{
		Initial: serving.Serving, States: map[serving.State]serving.Rule{serving.Draining: {Grace: time.Nanosecond}},
	}, serving.WithHealth(state))
	chain := hauberk.Must(hauberk.New(x))
	srv, h := grpc.NewServer(chain.ServerOptions()...), newHandler()
	testpb.RegisterTestServiceServer(chain.Registrar(srv), h.backend())
	healthpb.RegisterHealthServer(chain.Registrar(srv), state)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	watch, err := healthpb.NewHealthClient(conn).Watch(patient(t), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := watch.Recv(); err != nil || got.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Fatalf("%v, %v", got, err)
	}
	outcome := make(chan error, len(streams))
	for _, kind := range streams {
		go func() { outcome <- open(patient(t), conn, kind) }()
		<-h.entered
	}
	if err := x.Shutdown(patient(t), srv); err != nil {
		t.Error(err)
	}
	for range streams {
		wantStatus(t, <-outcome, codes.Unavailable, serving.ReasonDraining)
	}
	for err == nil {
		_, err = watch.Recv()
	}
	wantStatus(t, err, codes.Unavailable, serving.ReasonDraining)
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := x.Set(serving.Serving); !errors.Is(err, hauberk.ErrShuttingDown) || x.State() != serving.Draining {
		t.Errorf("Set after Shutdown: %v, and the state is %s; want it to remain", err, x.State())
	}
	if err := x.Set(serving.Draining); err != nil {
		t.Errorf("Set to the state after Shutdown: %v", err)
	}
}

// Shutdown returns when its context ends, though a handler ignores that its call has ended.
func TestShutdownOfStuckHandlers(t *testing.T) {
	hauberktest.CheckLeaks(t)
	x := serving.New(serving.Config{Initial: serving.Serving})
	entered, release := make(chan struct{}, 1), make(chan struct{})
	env := hauberktest.Case{}.StartWith(t, &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
		entered <- struct{}{}
		<-release
		return nil
	}}, x)
	outcome := make(chan error, 1)
	go func() { outcome <- open(patient(t), env.Conn, hauberk.Bidi) }()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := x.Shutdown(ctx, env.Server); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown returned %v", err)
	}
	wantStatus(t, <-outcome, codes.Unavailable, "")
	close(release)
	var none context.Context
	for _, err := range []error{x.Shutdown(none, env.Server), x.Shutdown(ctx, nil)} {
		if err == nil || !strings.Contains(err.Error(), "a nil context or a nil server") {
			t.Error(err)
		}
	}
}

// Idle returns as soon as the state accepts what runs, though nothing has ended.
func TestIdleAfterChange(t *testing.T) {
	for _, kind := range kinds {
		synctest.Test(t, func(t *testing.T) {
			x, release := serving.New(serving.Config{Initial: serving.Serving}), make(chan struct{})
			serve := hauberktest.Direct{Kind: kind}.Server(hauberk.Must(hauberk.New(x,
				hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { <-release; return errUnread }))))
			ended := make(chan error)
			go func() { ended <- serve(t.Context()) }()
			synctest.Wait()
			set(t, x, serving.Maintenance)
			idle := make(chan error, 1)
			go func() { idle <- x.Idle(t.Context()) }()
			synctest.Wait()
			select {
			case err := <-idle:
				t.Errorf("%v: Idle returned %v, while a call runs", kind, err)
			default:
			}
			set(t, x, serving.Serving)
			synctest.Wait()
			select {
			case err := <-idle:
				if err != nil {
					t.Error(err)
				}
			default:
				t.Errorf("%v: Idle waits for a call that the state accepts", kind)
			}
			close(release)
			if err := <-ended; err == nil { // streams end with the status of the state
				t.Errorf("%v: the call ends well", kind)
			}
		})
	}
}

var errUnread = errors.New("not handled")
