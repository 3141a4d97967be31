package hauberk_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// soon is a grace time that has passed at once.
const soon = time.Nanosecond

// draining makes a chain with settings for the shutdown, and an interceptor that reports outcomes.
func draining(t *testing.T, d hauberk.Drain) (chain *hauberk.Chain, seen chan error) {
	t.Helper()
	seen = make(chan error, 8)
	chain, err := hauberk.Config{Drain: d, ErrorDomain: "shop.example"}.New(
		hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := next(ctx, call)
			seen <- err
			return err
		}))
	if err != nil {
		t.Fatal(err)
	}
	return chain, seen
}

// wantShuttingDown checks that a call was ended or rejected since the server shuts down.
func wantShuttingDown(t *testing.T, err error) {
	t.Helper()
	if status.Code(err) != codes.Unavailable || hauberk.Reason(err) != hauberk.ReasonShuttingDown {
		t.Errorf("%v with reason %q; want UNAVAILABLE with %s", err, hauberk.Reason(err), hauberk.ReasonShuttingDown)
	}
}

// TestShutdownEndsStreams: streams that run after the grace time end with UNAVAILABLE, for their clients and for
// the chain, if their handlers wait for the context, and if they receive. Unary calls end as they would.
func TestShutdownEndsStreams(t *testing.T) {
	waits := map[string]func(ctx context.Context, s hauberktest.Stream) error{
		"context": func(ctx context.Context, s hauberktest.Stream) error {
			<-ctx.Done()
			_ = s.Send(&testpb.Response{}) // as if nothing had happened
			return nil
		},
		"receive": func(_ context.Context, s hauberktest.Stream) error {
			for {
				if _, err := s.Recv(); err != nil {
					return err
				}
			}
		},
	}
	for name, start := range ways {
		for wait, handle := range waits {
			t.Run(name+"/"+wait, func(t *testing.T) { shutDownStreams(t, start, handle, wait == "receive") })
		}
	}
}

func shutDownStreams(t *testing.T, start wayToServe, handle func(context.Context, hauberktest.Stream) error, clientStreams bool) {
	hauberktest.CheckLeaks(t)
	chain, seen := draining(t, hauberk.Drain{Grace: soon})
	srv := chain.NewServer()
	entered, release := make(chan struct{}, 4), make(chan struct{})
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		entered <- struct{}{}
		if hauberk.FromContext(ctx).Kind() == hauberk.Unary {
			<-release
			return hauberktest.Echo(ctx, s)
		}
		return handle(ctx, s)
	}})
	conn := start(t, srv)
	outcomes := map[hauberk.Kind]chan error{}
	want := map[string]int{}
	for _, kind := range allKinds {
		if clientStreams && kind == hauberk.ServerStream {
			continue
		}
		outcome := make(chan error, 1)
		outcomes[kind] = outcome
		go func() { outcome <- runOpen(patient(t), conn, kind) }()
		<-entered
		want[hauberktest.FullMethod(kind)] = 1
	}
	if got := srv.Running(); !maps.Equal(got, want) {
		t.Errorf("running are %v; want %v", got, want)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Shutdown(patient(t)) }()
	for kind, outcome := range outcomes {
		if kind == hauberk.Unary {
			continue
		}
		err := <-outcome
		wantShuttingDown(t, err)
		if got := hauberk.ReasonDomain(err); got != "shop.example" {
			t.Errorf("%v: the domain is %q", kind, got)
		}
		err = <-seen
		wantShuttingDown(t, err)
		if !errors.Is(err, hauberk.ErrShuttingDown) {
			t.Errorf("%v: the chain sees %v", kind, err)
		}
	}
	close(release)
	wantCode(t, <-outcomes[hauberk.Unary], codes.OK)
	if err := <-stopped; err != nil || len(srv.Running()) > 0 {
		t.Errorf("Shutdown returned %v; running are %v", err, srv.Running())
	}
}

// runOpen makes a call that the client does not half-close, and returns its outcome.
func runOpen(ctx context.Context, conn grpc.ClientConnInterface, kind hauberk.Kind) error {
	stream, err := conn.NewStream(ctx, descOf(kind), hauberktest.FullMethod(kind))
	if err != nil {
		return err
	}
	if err := stream.SendMsg(message("a")); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !kind.ClientStreams() {
		_ = stream.CloseSend()
	}
	for {
		switch err := stream.RecvMsg(new(testpb.Response)); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil || !kind.ServerStreams():
			return err
		}
	}
}

// TestStreamsDuringShutdown: no stream that begins while a server shuts down runs on.
func TestStreamsDuringShutdown(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for range 20 {
		chain := hauberk.Must(hauberk.Config{Drain: hauberk.Drain{Grace: soon}}.New())
		srv := chain.NewServer()
		entered := make(chan struct{}, 1<<10)
		testpb.RegisterTestServiceServer(srv, untilCancelled(entered))
		conn := ways["Serve"](t, srv)
		ended := make(chan error, 4)
		for range cap(ended) {
			go func() {
				for range 1 << 8 {
					if err := runOpen(patient(t), conn, hauberk.Bidi); hauberk.Reason(err) != hauberk.ReasonShuttingDown {
						ended <- err // the server is gone
						return
					}
				}
				ended <- nil
			}()
		}
		<-entered
		if err := srv.Shutdown(patient(t)); err != nil {
			t.Fatal(err)
		}
		for range cap(ended) {
			wantCode(t, <-ended, codes.Unavailable)
		}
	}
}

// TestShuttingDown: handlers can end streams themselves when the shutdown begins.
func TestShuttingDown(t *testing.T) {
	for name, start := range ways {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			srv := idleChain(1).NewServer()
			entered := make(chan struct{}, 1)
			testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
				entered <- struct{}{}
				<-srv.ShuttingDown()
				return s.Send(&testpb.Response{Text: "bye"})
			}})
			conn := start(t, srv)
			outcome := make(chan error, 1)
			go func() { outcome <- runOpen(patient(t), conn, hauberk.Bidi) }()
			<-entered
			if err := srv.Shutdown(patient(t)); err != nil {
				t.Error(err)
			}
			wantCode(t, <-outcome, codes.OK)
		})
	}
	var none *hauberk.Server
	if none.ShuttingDown() != nil || len(none.Running()) > 0 || new(hauberk.Server).ShuttingDown() != nil {
		t.Error("a server that NewServer has not made shuts down")
	}
}

// TestDrainRejectsNew: calls whose handler has not begun run, or are rejected with RejectNew.
func TestDrainRejectsNew(t *testing.T) {
	for name, start := range ways {
		for _, rejects := range []bool{false, true} {
			for _, kind := range allKinds {
				t.Run(name+"/"+kind.String(), func(t *testing.T) {
					hauberktest.CheckLeaks(t)
					waiting, goOn := make(chan struct{}, 1), make(chan struct{})
					chain := hauberk.Must(hauberk.Config{Drain: hauberk.Drain{RejectNew: rejects}}.New(
						hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
							waiting <- struct{}{}
							<-goOn
							return next(ctx, call)
						})))
					srv := chain.NewServer()
					testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
					conn := start(t, srv)
					outcome, stopped := make(chan error, 1), make(chan error, 1)
					go func() {
						_, err := echo(patient(t), conn, kind, hauberktest.FullMethod(kind))
						outcome <- err
					}()
					<-waiting
					done, cancel := context.WithCancel(patient(t))
					go func() { stopped <- srv.Shutdown(done) }()
					awaitRejection(t, srv)
					close(goOn)
					if err := <-outcome; rejects {
						wantShuttingDown(t, err)
					} else {
						wantCode(t, err, codes.OK)
					}
					if err := <-stopped; err != nil {
						t.Error(err)
					}
					cancel()
				})
			}
		}
	}
}

// awaitRejection waits until a server answers no new calls of ServeHTTP, which it does after it rejects others.
func awaitRejection(t *testing.T, srv *hauberk.Server) {
	t.Helper()
	within(t, "the rejection", func() {
		for {
			w := httptest.NewRecorder()
			srv.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
			if w.Code == http.StatusServiceUnavailable {
				return
			}
		}
	})
}

// TestDrainNotice: during the notice the server is NOT_SERVING and goes on as before.
func TestDrainNotice(t *testing.T) {
	for name, start := range ways {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			chain, _ := draining(t, hauberk.Drain{Notice: time.Hour, RejectNew: true})
			srv := chain.NewServer()
			testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
			healthpb.RegisterHealthServer(srv, health.NewServer())
			conn := start(t, srv)
			ctx, cancel := context.WithCancel(patient(t))
			stopped := make(chan error, 1)
			go func() { stopped <- srv.Shutdown(ctx) }()
			<-srv.ShuttingDown()
			within(t, "NOT_SERVING", func() {
				for {
					got, err := healthpb.NewHealthClient(conn).Check(patient(t), &healthpb.HealthCheckRequest{})
					wantCode(t, err, codes.OK)
					if got.GetStatus() == healthpb.HealthCheckResponse_NOT_SERVING {
						return
					}
				}
			})
			for _, kind := range allKinds {
				_, err := echo(patient(t), conn, kind, hauberktest.FullMethod(kind))
				wantCode(t, err, codes.OK)
			}
			cancel()
			if err := <-stopped; !errors.Is(err, context.Canceled) {
				t.Errorf("Shutdown returned %v", err)
			}
			if name == "ServeHTTP" {
				_, err := echo(patient(t), conn, hauberk.Unary, hauberktest.FullMethod(hauberk.Unary))
				wantShuttingDown(t, err)
			}
		})
	}
	srv := hauberk.Must(hauberk.Config{Drain: hauberk.Drain{Notice: soon}}.New()).NewServer()
	if err := srv.Shutdown(patient(t)); err != nil {
		t.Error(err)
	}
}

// TestRejectedByServeHTTP: a call of gRPC receives a status with a reason, and another request 503.
func TestRejectedByServeHTTP(t *testing.T) {
	hauberktest.CheckLeaks(t)
	srv := idleChain(1).NewServer()
	conn := serveH2C(t, srv)
	if err := srv.Shutdown(patient(t)); err != nil {
		t.Fatal(err)
	}
	for _, kind := range allKinds {
		_, err := echo(patient(t), conn, kind, hauberktest.FullMethod(kind))
		wantShuttingDown(t, err)
	}
	awaitRejection(t, srv)
}

// TestServerMeasurements: a chain reports the calls that run on its servers, by method.
func TestServerMeasurements(t *testing.T) {
	hauberktest.CheckLeaks(t)
	chain := idleChain(1)
	if got := len(maps.Collect(chain.Measurements())); got != 1 {
		t.Errorf("%d measurements before the first server", got)
	}
	entered, outcome := make(chan struct{}, 3), make(chan error, 3)
	ctx, cancel := context.WithCancel(patient(t))
	defer cancel()
	for range 2 {
		srv := chain.NewServer()
		testpb.RegisterTestServiceServer(srv, untilCancelled(entered))
		conn := ways["Serve"](t, srv)
		go func() { outcome <- runOpen(ctx, conn, hauberk.Bidi) }()
		<-entered
	}
	running := func() map[string]float64 {
		all := map[string]float64{}
		for name, m := range chain.Measurements() {
			if name == "server" && m.Name == "server_running" && m.LabelName == "method" && !m.Counter {
				all[m.LabelValue] = m.Value
			}
		}
		return all
	}
	want := map[string]float64{"other": 0}
	for _, kind := range allKinds {
		want[strings.TrimPrefix(hauberktest.FullMethod(kind), "/")] = 0
	}
	want[strings.TrimPrefix(hauberktest.FullMethod(hauberk.Bidi), "/")] = 2
	if got := running(); !maps.Equal(got, want) {
		t.Errorf("%v; want %v", got, want)
	}
	cancel()
	wantCode(t, <-outcome, codes.Canceled)
	wantCode(t, <-outcome, codes.Canceled)
}

// TestBadDrain: New reports negative times.
func TestBadDrain(t *testing.T) {
	_, err := hauberk.Config{Drain: hauberk.Drain{Notice: -1, Grace: -time.Second}}.New()
	for _, want := range []string{"Config.Drain.Notice is -1ns; want", "Config.Drain.Grace is -1s; want"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want an error with %q", err, want)
		}
	}
}
