package hauberk_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// wayToServe starts a server and connects to it.
type wayToServe func(t *testing.T, srv *hauberk.Server) *grpc.ClientConn

// ways are the ways in which a server gets calls.
var ways = map[string]wayToServe{
	"Serve": func(t *testing.T, srv *hauberk.Server) *grpc.ClientConn {
		return listenAndServe(t, srv, bufconn.Listen(1<<20))
	},
	"ServeHTTP": serveH2C,
}

// blocking is a backend whose client streams wait for release and ignore their context.
func blocking(entered, release chan struct{}) *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		if hauberk.FromContext(ctx).Kind() == hauberk.ClientStream {
			close(entered)
			<-release
		}
		return hauberktest.Echo(ctx, s)
	}}
}

// TestShutdownDoesNotWaitForStuckHandlers: Shutdown returns when its context ends, though a
// handler ignores that its call was cancelled.
func TestShutdownDoesNotWaitForStuckHandlers(t *testing.T) {
	for name, start := range ways {
		t.Run(name, func(t *testing.T) { shutDownStuck(t, start) })
		t.Run(name+"/WaitForHandlers", func(t *testing.T) { shutDownStuck(t, start, grpc.WaitForHandlers(true)) })
	}
}

func shutDownStuck(t *testing.T, start func(t *testing.T, srv *hauberk.Server) *grpc.ClientConn, opts ...grpc.ServerOption) {
	hauberktest.CheckLeaks(t)
	entered, release := make(chan struct{}), make(chan struct{})
	srv := idleChain(1).NewServer(opts...)
	testpb.RegisterTestServiceServer(srv, blocking(entered, release))
	conn := start(t, srv)
	called := make(chan error, 1)
	go func() {
		_, err := echo(patient(t), conn, hauberk.ClientStream, hauberktest.FullMethod(hauberk.ClientStream))
		called <- err
	}()
	<-entered
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	within(t, "Shutdown", func() {
		if err := srv.Shutdown(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Shutdown returned %v", err)
		}
	})
	if err := <-called; err == nil {
		t.Error("the call has ended with OK")
	}
}

// TestShutdownOfAFullConnection: Shutdown returns when its context ends, though grpc-go cannot
// read from a connection that has as many calls as it may: a handler ignores that its call
// was cancelled, so that a further call waits for its place.
func TestShutdownOfAFullConnection(t *testing.T) {
	hauberktest.CheckLeaks(t)
	srv := idleChain(1).NewServer(grpc.MaxConcurrentStreams(1))
	entered, cancelled, release := make(chan struct{}, 2), make(chan struct{}, 2), make(chan struct{})
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{Handle: func(ctx context.Context, _ hauberktest.Stream) error {
		entered <- struct{}{}
		<-ctx.Done()
		cancelled <- struct{}{}
		<-release
		return nil
	}})
	conn := listenAndServe(t, srv, bufconn.Listen(1<<20))
	defer close(release)
	first, cancelFirst := context.WithCancel(patient(t))
	start(first, t, conn, hauberk.Bidi)
	<-entered
	cancelFirst()
	<-cancelled
	second, cancelSecond := context.WithCancel(patient(t))
	defer cancelSecond()
	start(second, t, conn, hauberk.Bidi)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	within(t, "Shutdown", func() {
		if err := srv.Shutdown(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Shutdown returned %v", err)
		}
	})
}

// TestShutdownWaitsForServeHTTP: calls of ServeHTTP that run end as they would, and new ones
// as UNAVAILABLE.
func TestShutdownWaitsForServeHTTP(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	srv := idleChain(1).NewServer()
	testpb.RegisterTestServiceServer(srv, blocking(entered, release))
	conn := serveH2C(t, srv)
	called, stopped := make(chan error, 1), make(chan error, 1)
	ctx := patient(t)
	call := func(kind hauberk.Kind) error {
		_, err := echo(ctx, conn, kind, hauberktest.FullMethod(kind))
		return err
	}
	go func() { called <- call(hauberk.ClientStream) }()
	<-entered
	go func() { stopped <- srv.Shutdown(ctx) }()
	for err := call(hauberk.Unary); ; err = call(hauberk.Unary) {
		if err != nil {
			wantCode(t, err, codes.Unavailable)
			break
		}
	}
	close(release)
	wantCode(t, <-called, codes.OK)
	for range 2 {
		if err := <-stopped; err != nil {
			t.Errorf("Shutdown returned %v", err)
		}
		stopped <- srv.Shutdown(ctx)
	}
	wantCode(t, call(hauberk.Unary), codes.Unavailable)
}

// TestShutdownEndsHealthWatches: Shutdown ends the open Watch calls of the health service with
// UNAVAILABLE, which the chain sees too, and a Watch that its client cancels with CANCELLED.
func TestShutdownEndsHealthWatches(t *testing.T) {
	for name, start := range ways {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			seen := make(chan error, 2)
			chain := hauberk.Must(hauberk.New(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				err := next(ctx, call)
				seen <- err
				return err
			})))
			srv, state := chain.NewServer(), health.NewServer()
			healthpb.RegisterHealthServer(hauberk.Must(hauberk.New()).Registrar(srv), state) // also through another chain
			client := healthpb.NewHealthClient(start(t, srv))
			watch := func(ctx context.Context) healthpb.Health_WatchClient {
				w, err := client.Watch(ctx, &healthpb.HealthCheckRequest{})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := w.Recv(); err != nil {
					t.Fatal(err)
				}
				return w
			}
			own, cancel := context.WithCancel(patient(t))
			watch(own)
			cancel()
			wantCode(t, <-seen, codes.Canceled)
			w := watch(patient(t))
			state.Shutdown()
			if got, err := w.Recv(); err != nil || got.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
				t.Errorf("after health.Server.Shutdown: %v %v", got, err)
			}
			if err := srv.Shutdown(patient(t)); err != nil {
				t.Errorf("Shutdown returned %v", err)
			}
			_, err := w.Recv()
			wantCode(t, err, codes.Unavailable)
			wantCode(t, <-seen, codes.Unavailable)
		})
	}
}

// TestMisusedServers: a server that NewServer has not made, and nil arguments, are errors
// that say so.
func TestMisusedServers(t *testing.T) {
	lis := bufconn.Listen(1)
	var none *hauberk.Server
	var noListener *net.TCPListener
	var noContext context.Context
	good := idleChain(1).NewServer()
	defer good.Stop()
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"Serve of a zero Server":    {new(hauberk.Server).Serve(lis), "zero Server"},
		"Serve of a nil Server":     {none.Serve(bufconn.Listen(1)), "zero Server"},
		"Shutdown of a zero Server": {new(hauberk.Server).Shutdown(t.Context()), "zero Server"},
		"Serve(nil)":                {good.Serve(nil), "nil listener"},
		"Serve of a nil pointer":    {good.Serve(noListener), "nil listener"},
		"Shutdown(nil)":             {good.Shutdown(noContext), "nil context"},
	} {
		if c.err == nil || !strings.HasPrefix(c.err.Error(), "hauberk: ") || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: %v; want an error with %q", name, c.err, c.want)
		}
	}
	if _, err := lis.Accept(); err == nil {
		t.Error("the listener is still open")
	}
}

// TestProxiesServe: a server with its own handler of unknown services may have patterns for
// methods that it has not registered.
func TestProxiesServe(t *testing.T) {
	hauberktest.CheckLeaks(t)
	proxy := grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return status.Error(codes.Aborted, "proxied") })
	config := hauberk.Config{Public: []string{"shop.v1.Catalog/*"}}
	chain := hauberk.Must(config.New(guardian{idle}))
	for name, opts := range map[string][]grpc.ServerOption{"proxy": {proxy}, "no proxy": nil} {
		t.Run(name, func(t *testing.T) {
			srv := chain.NewServer(opts...)
			healthpb.RegisterHealthServer(srv, health.NewServer())
			if len(opts) == 0 {
				if err := srv.Serve(bufconn.Listen(1)); err == nil || !strings.Contains(err.Error(), "shop.v1.Catalog/*") {
					t.Errorf("Serve returned %v", err)
				}
				srv.Stop()
				return
			}
			conn := listenAndServe(t, srv, bufconn.Listen(1<<20))
			_, err := echo(patient(t), conn, hauberk.Unary, "/shop.v1.Catalog/Get")
			wantCode(t, err, codes.Aborted)
		})
	}
}

// ownHealth is a health service of the program, which does something when the server shuts down.
type ownHealth struct {
	*health.Server

	do func()
}

func (h ownHealth) Shutdown() { h.do() }

// TestShutdownOfOwnHealth: no lock is held while the health service of the program is set to NOT_SERVING. If that
// panics, the panic is that of Shutdown, and a further Shutdown stops the server.
func TestShutdownOfOwnHealth(t *testing.T) {
	for name, panics := range map[string]bool{"uses the server": false, "panics": true} {
		t.Run(name, func(t *testing.T) {
			srv := hauberk.Must(hauberk.New()).NewServer()
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			var again error
			healthpb.RegisterHealthServer(srv, ownHealth{health.NewServer(), func() {
				<-srv.ShuttingDown()
				again = srv.Shutdown(ended)
				if panics {
					panic("no")
				}
			}})
			func() {
				defer func() {
					if v := recover(); (v != nil) != panics {
						t.Errorf("Shutdown panicked with %v", v)
					}
				}()
				if err := srv.Shutdown(patient(t)); err != nil {
					t.Errorf("Shutdown returned %v", err)
				}
			}()
			if !errors.Is(again, context.Canceled) {
				t.Errorf("a Shutdown in the health service returned %v; want that its context is done", again)
			}
			if err := srv.Shutdown(patient(t)); err != nil {
				t.Errorf("a further Shutdown returned %v", err)
			}
		})
	}
}

// TestShutdownWaitsForDetached: Shutdown waits for handlers on copies of Detach, although their calls have ended, but
// no longer than its context. No further one begins.
func TestShutdownWaitsForDetached(t *testing.T) {
	hauberktest.CheckLeaks(t)
	copies, outcomes := make(chan func() error, 2), make(chan error, 1)
	entered, release := make(chan struct{}), make(chan struct{})
	var handled atomic.Int32
	chain := hauberk.Must(hauberk.New(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		for range 2 {
			inside, copied, err := call.Detach(context.WithoutCancel(ctx))
			if err != nil {
				return err
			}
			copies <- func() error { return next(inside, copied) }
		}
		return call.Reply(&testpb.Response{})
	})))
	srv := chain.NewServer()
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		handled.Add(1)
		close(entered)
		<-release
		return s.Send(&testpb.Response{})
	}})
	conn := ways["Serve"](t, srv)
	if _, err := testpb.NewTestServiceClient(conn).Unary(t.Context(), &testpb.Request{}); err != nil {
		t.Fatal(err)
	}
	first, second := <-copies, <-copies
	go func() { outcomes <- first() }()
	<-entered
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := srv.Shutdown(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown returned %v while a handler runs", err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Shutdown(patient(t)) }()
	close(release)
	if err := errors.Join(<-outcomes, <-stopped); err != nil {
		t.Error(err)
	}
	wantShuttingDown(t, second())
	if n := handled.Load(); n != 1 {
		t.Errorf("%d handlers ran; want 1", n)
	}
}
