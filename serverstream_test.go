package hauberk_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// perKind runs a test for each kind on a server.
func perKind(t *testing.T, test func(t *testing.T, c hauberktest.Case)) {
	t.Helper()
	for _, kind := range allKinds {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			test(t, hauberktest.Case{Side: hauberk.ServerSide, Kind: kind})
		})
	}
}

// endings is an interceptor that reports each outcome of next.
type endings chan error

func (o endings) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	err := next(ctx, call)
	o <- err
	return err
}

// TestServerEnds has a case for each way that a call on a server can end: next
// returns once, with the outcome of the handler, when that has returned.
func TestServerEnds(t *testing.T) {
	running := make(chan struct{}, 1)
	waiting := func(ctx context.Context, _ hauberktest.Stream) error {
		running <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	type world struct {
		env    *hauberktest.Env
		cancel context.CancelFunc
	}
	for _, tc := range []struct {
		name    string
		handle  func(ctx context.Context, s hauberktest.Stream) error
		timeout time.Duration
		during  func(w world) // the call, once the handler runs
		want    []codes.Code
	}{
		{name: "OK", handle: hauberktest.Echo, want: []codes.Code{codes.OK}},
		{
			name:   "error",
			handle: func(context.Context, hauberktest.Stream) error { return status.Error(codes.Aborted, "no") },
			want:   []codes.Code{codes.Aborted},
		},
		{
			name: "error after messages",
			handle: func(ctx context.Context, s hauberktest.Stream) error {
				if err := hauberktest.Echo(ctx, s); err != nil {
					return err
				}
				return status.Error(codes.DataLoss, "no")
			},
			want: []codes.Code{codes.DataLoss},
		},
		{name: "cancel", handle: waiting, during: func(w world) { w.cancel() }, want: []codes.Code{codes.Canceled}},
		{
			// The client's own clock may be the first to end the call.
			name: "deadline", handle: waiting, timeout: 20 * time.Millisecond, during: func(world) {},
			want: []codes.Code{codes.DeadlineExceeded, codes.Canceled},
		},
		{name: "client vanished", handle: waiting, during: func(w world) { _ = w.env.Client.Close() }, want: []codes.Code{codes.Canceled}},
		{name: "server stopped", handle: waiting, during: func(w world) { w.env.Server.Stop() }, want: []codes.Code{codes.Canceled}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			perKind(t, func(t *testing.T, c hauberktest.Case) {
				e := make(endings, 2)
				env := c.StartWith(t, &hauberktest.Backend{Handle: tc.handle}, e)
				ctx, cancel := context.WithCancel(patient(t))
				if tc.timeout > 0 {
					ctx, cancel = context.WithTimeout(ctx, tc.timeout)
				}
				defer cancel()
				called := make(chan struct{})
				go func() {
					defer close(called)
					env.Call(ctx)
				}()
				if tc.during != nil {
					<-running
					tc.during(world{env, cancel})
				}
				got := hauberk.StatusOf(<-e).Code()
				<-called
				env.Server.GracefulStop()
				if len(e) != 0 {
					t.Error("next returned twice")
				}
				if !slices.Contains(tc.want, got) {
					t.Errorf("next returned %s, want one of %s", got, tc.want)
				}
			})
		})
	}
}

// TestServerCancelledBeforeTheBody ends calls whose request never comes.
func TestServerCancelledBeforeTheBody(t *testing.T) {
	perKind(t, func(t *testing.T, c hauberktest.Case) {
		e, entered := make(endings, 2), make(chan struct{})
		env := c.Start(t, e, hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			close(entered)
			return next(ctx, call)
		}))
		ctx, cancel := context.WithCancel(patient(t))
		defer cancel()
		if _, err := env.Client.NewStream(ctx, descOf(c.Kind), hauberktest.FullMethod(c.Kind)); err != nil {
			t.Fatal(err)
		}
		<-entered
		cancel()
		wantCode(t, <-e, codes.Canceled)
		env.Server.GracefulStop()
		if len(e) != 0 {
			t.Error("next returned twice")
		}
	})
}

// TestServerSendBesideReceive sends and receives at once through hooks of several
// interceptors, with the counts read concurrently.
func TestServerSendBesideReceive(t *testing.T) {
	hauberktest.CheckLeaks(t)
	const messages = 500
	sent, received := 0, 0
	count := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.OnSend(func(msg any, emit func(any) error) error {
			sent++
			_ = call.Received()
			return emit(msg)
		})
		call.OnReceive(func(any) (bool, error) {
			received++
			_ = call.Sent()
			return true, nil
		})
		return next(ctx, call)
	})
	backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		var sending sync.WaitGroup
		sending.Go(func() {
			for range messages {
				if err := s.Send(&testpb.Response{Text: "x"}); err != nil {
					t.Error(err)
					return
				}
			}
		})
		defer sending.Wait()
		for {
			if _, err := s.Recv(); err != nil {
				return ignoreEOF(err)
			}
		}
	}}
	chain := hauberk.Must(hauberk.New(count, hauberk.Func(idle), passThrough()))
	env := hauberktest.Start(t, hauberktest.Setup{
		Kind: hauberk.Bidi, Backend: backend, Server: chain, Client: hauberk.Must(hauberk.New(passThrough(), passThrough())),
	})
	stream, err := env.Conn.NewStream(patient(t), descOf(hauberk.Bidi), hauberktest.FullMethod(hauberk.Bidi))
	if err != nil {
		t.Fatal(err)
	}
	var sending sync.WaitGroup
	sending.Go(func() {
		for range messages {
			if err := stream.SendMsg(&testpb.Request{Text: "y"}); err != nil {
				t.Error(err)
			}
		}
		_ = stream.CloseSend()
	})
	if err := drain(stream); err != io.EOF {
		t.Error(err)
	}
	sending.Wait()
	env.Server.GracefulStop()
	if sent != messages || received != messages {
		t.Errorf("the hooks saw %d sent and %d received, want %d", sent, received, messages)
	}
}

func ignoreEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// passThrough is an interceptor whose hooks do nothing.
func passThrough() hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.OnSend(func(msg any, emit func(any) error) error { return emit(msg) })
		call.OnReceive(func(any) (bool, error) { return true, nil })
		return next(ctx, call)
	})
}

// TestHandlerLeavesAGoroutine returns from the handler while a goroutine of it
// receives, as grpc-go allows: no hook runs once next has returned.
func TestHandlerLeavesAGoroutine(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			left := make(chan error, 1)
			backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
				first := make(chan struct{})
				go func() {
					_, err := s.Recv()
					close(first)
					for err == nil {
						_, err = s.Recv()
					}
					left <- err
				}()
				<-first
				return s.Send(&testpb.Response{Text: "enough"})
			}}
			var received atomic.Int64 // a hook of a goroutine left behind may still run
			interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				call.OnReceive(func(any) (bool, error) {
					received.Add(1)
					return true, nil
				})
				err := next(ctx, call)
				received.Add(1)
				return err
			})
			env := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}.StartWith(t, backend, interceptor)
			stream, err := env.Conn.NewStream(patient(t), descOf(kind), hauberktest.FullMethod(kind))
			for err == nil {
				err = stream.SendMsg(&testpb.Request{Text: "x"})
			}
			if err != io.EOF {
				t.Fatal(err)
			}
			wantCode(t, <-left, codes.Canceled)
		})
	}
}

// TestMessageAfterTheHandler gives a goroutine that the handler left in RecvMsg a
// message when the chain has returned.
func TestMessageAfterTheHandler(t *testing.T) {
	hauberktest.CheckLeaks(t)
	receiving, over, left := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		go func() {
			_, err := s.Recv()
			left <- err
		}()
		<-receiving
		return nil
	}}
	hook := receives(func(any) (bool, error) {
		t.Error("the hook ran")
		return true, nil
	})
	err := direct(hauberk.Must(hauberk.New(hook)), hauberk.Bidi, backend, func() {
		close(receiving)
		<-over
	})
	wantCode(t, err, codes.OK)
	close(over)
	wantCode(t, <-left, codes.Canceled)
}

// TestStreamAfterItsHandler uses a handler's stream when the handler has returned.
func TestStreamAfterItsHandler(t *testing.T) {
	for _, kind := range streams {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			kept := make(chan hauberktest.Stream, 1)
			backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
				kept <- s
				return hauberktest.Echo(ctx, s)
			}}
			env := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}.StartWith(t, backend, passThrough())
			wantCode(t, env.Call(patient(t)).Err, codes.OK)
			env.Server.GracefulStop()
			s := <-kept
			wantCode(t, s.Send(&testpb.Response{}), codes.Canceled)
			if kind.ClientStreams() {
				if _, err := s.Recv(); err == nil {
					t.Error("received a message after the end")
				}
			}
		})
	}
}

// TestBeforeHeaderAfterTheEnd: what BeforeHeader registered does not run once the chain has
// returned, if goroutines send that a handler or an interceptor left behind.
func TestBeforeHeaderAfterTheEnd(t *testing.T) {
	md := metadata.Pairs("a", "b")
	for _, by := range []string{"handler", "interceptor"} {
		for _, operation := range []string{"SendHeader", "SendMsg"} {
			for _, kind := range streams {
				t.Run(by+"/"+operation+"/"+kind.String(), func(t *testing.T) {
					hauberktest.CheckLeaks(t)
					over, left := make(chan struct{}), make(chan error, 1)
					stay := func(who string, sendHeader, send func() error) {
						if who != by {
							return
						}
						go func() {
							<-over
							if operation == "SendMsg" {
								sendHeader = send
							}
							left <- sendHeader()
						}()
					}
					outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
						call.BeforeHeader(func() { t.Error("f has run") })
						_ = next(ctx, call)
						return status.Error(codes.Aborted, "nothing was sent")
					})
					adapter := hauberk.FromServer(hauberk.PassUnaryServer,
						func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
							stay("interceptor", func() error { return s.SendHeader(md) }, func() error { return s.SendMsg(response("late")) })
							return handler(srv, s)
						})
					backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
						stay("handler", func() error { return s.SendHeader(md) }, func() error { return s.Send(response("late")) })
						return nil
					}}
					env := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}.StartWith(t, backend, outer, adapter)
					wantCode(t, env.Call(patient(t)).Err, codes.Aborted)
					close(over)
					wantCode(t, <-left, codes.Canceled)
				})
			}
		}
	}
}

// TestSecondResponse sends two responses of a method that has one, and ignores the
// error.
func TestSecondResponse(t *testing.T) {
	hauberktest.CheckLeaks(t)
	backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		for range 2 {
			_ = s.Send(&testpb.Response{Text: "x"})
		}
		return nil
	}}
	out := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.ClientStream}.StartWith(t, backend).Call(patient(t))
	wantCode(t, out.Err, codes.Internal)
}

// TestNoResponse returns neither a response nor an error: a stream's handler has
// broken the protocol, a unary one has sent an empty message, as with grpc-go.
func TestNoResponse(t *testing.T) {
	hauberktest.CheckLeaks(t)
	backend := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error { return nil }}
	out := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.ClientStream}.StartWith(t, backend).Call(patient(t))
	wantCode(t, out.Err, codes.Internal)

	srv := idleChain(1).NewServer()
	srv.RegisterService(&grpc.ServiceDesc{ServiceName: "plain.Service", Methods: []grpc.MethodDesc{{
		MethodName: "Get",
		Handler: func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) {
			return nil, nil
		},
	}}}, nil)
	conn := listenAndServe(t, srv, listen(t))
	_, err := echo(patient(t), conn, hauberk.Unary, "/plain.Service/Get")
	wantCode(t, err, codes.OK)
}

// TestHeldResponse sets headers and trailers after next: the one response of a
// method is held until the chain has returned.
func TestHeldResponse(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			late := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				err := next(ctx, call)
				if got := call.Response().(*testpb.Response).GetText(); got != "echo:hello" {
					t.Errorf("response %q", got)
				}
				if err := call.SetHeader(metadata.Pairs("x-late", "header")); err != nil {
					t.Error(err)
				}
				if err := call.SetTrailer(metadata.Pairs("x-late", "trailer")); err != nil {
					t.Error(err)
				}
				return err
			})
			out := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}.Start(t, late).Call(patient(t))
			wantCode(t, out.Err, codes.OK)
			equal(t, "responses", out.Texts(), []string{"echo:hello"})
			equal(t, "header", out.Header.Get("x-late"), []string{"header"})
			equal(t, "trailer", out.Trailer.Get("x-late"), []string{"trailer"})
		})
	}
}

// TestHeaderMerging sets the same header and trailer in two interceptors and the handler:
// the values are in order, the outer first.
func TestHeaderMerging(t *testing.T) {
	for _, outcome := range []codes.Code{codes.OK, codes.Aborted} {
		t.Run(outcome.String(), func(t *testing.T) {
			perKind(t, func(t *testing.T, c hauberktest.Case) {
				interceptor := func(name string) hauberk.Interceptor {
					return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
						if err := call.SetHeader(metadata.Pairs("x-who", name, "x-bin", "\x00"+name)); err != nil {
							t.Error(err)
						}
						if err := call.SetTrailer(metadata.Pairs("x-who", name)); err != nil {
							t.Error(err)
						}
						return next(ctx, call)
					})
				}
				backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
					if err := s.SetHeader(metadata.Pairs("x-who", "handler")); err != nil {
						t.Error(err)
					}
					s.SetTrailer(metadata.Pairs("x-who", "handler"))
					if outcome != codes.OK {
						return status.Error(outcome, "no")
					}
					return hauberktest.Echo(ctx, s)
				}}
				out := c.StartWith(t, backend, interceptor("outer"), interceptor("inner")).Call(patient(t))
				wantCode(t, out.Err, outcome)
				equal(t, "header", out.Header.Get("x-who"), []string{"outer", "inner", "handler"})
				equal(t, "trailer", out.Trailer.Get("x-who"), []string{"outer", "inner", "handler"})
				equal(t, "binary header", out.Header.Get("x-bin"), []string{"\x00outer", "\x00inner"})
			})
		})
	}
}

// TestIllegalMetadata rejects keys and values that HTTP/2 cannot carry, and
// headers and trailers where they mean nothing.
func TestIllegalMetadata(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			for _, md := range []metadata.MD{
				{"": {"x"}}, {"X-Upper": {"x"}}, {"x y": {"x"}}, {"x\n": {"x"}}, {":path": {"x"}}, {"x": {"new\nline"}}, {"x": {"\x7f"}}, {"x": {"é"}},
			} {
				wantCode(t, call.SetHeader(md), codes.Internal)
				wantCode(t, call.SetTrailer(md), codes.Internal)
			}
			binary := metadata.MD{"x-data-bin": {"\x00\xff\n"}}
			want := codes.OK
			if c.Side == hauberk.ClientSide {
				want = codes.Internal
			}
			wantCode(t, call.SetHeader(binary), want)
			wantCode(t, call.SetTrailer(binary), want)
			return next(ctx, call)
		})
		out := c.Start(t, interceptor).Call(patient(t))
		wantCode(t, out.Err, codes.OK)
		if c.Side == hauberk.ServerSide {
			equal(t, "header", out.Header.Get("x-data-bin"), []string{"\x00\xff\n"})
			equal(t, "trailer", out.Trailer.Get("x-data-bin"), []string{"\x00\xff\n"})
		}
	})
}

// TestContextFlowsDown changes the metadata and the deadline in the context: the
// inner interceptors, and the handler on whichever side it is, see the change.
func TestContextFlowsDown(t *testing.T) {
	deadline := time.Now().Add(time.Hour)
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		change := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			inner, cancel := context.WithDeadline(ctx, deadline)
			defer cancel()
			if c.Side == hauberk.ClientSide {
				return next(metadata.AppendToOutgoingContext(inner, "x-user", "changed"), call)
			}
			md, _ := metadata.FromIncomingContext(ctx)
			md.Set("x-user", "changed")
			err := next(metadata.NewIncomingContext(inner, md), call)
			equal(t, "metadata outside", call.Metadata(ctx, "x-user"), nil)
			return err
		})
		look := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			equal(t, "metadata inside", call.Metadata(ctx, "X-User"), []string{"changed"})
			if got, _ := ctx.Deadline(); !got.Equal(deadline) {
				t.Errorf("the inner interceptor's deadline is %s, want %s", got, deadline)
			}
			return next(ctx, call)
		})
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			md, _ := metadata.FromIncomingContext(ctx)
			equal(t, "metadata in the handler", md.Get("x-user"), []string{"changed"})
			got, _ := ctx.Deadline()
			if c.Side == hauberk.ServerSide && !got.Equal(deadline) || got.IsZero() || got.After(deadline.Add(time.Minute)) {
				t.Errorf("the handler's deadline is %s, want %s", got, deadline)
			}
			return hauberktest.Echo(ctx, s)
		}}
		wantCode(t, c.StartWith(t, backend, change, look).Call(t.Context()).Err, codes.OK)
	})
}

// TestCounts compares what an interceptor counts with what went over the wire.
func TestCounts(t *testing.T) {
	for _, exact := range []bool{false, true} {
		for _, fails := range []bool{false, true} {
			t.Run(fmt.Sprintf("CountMessages=%t fails=%t", exact, fails), func(t *testing.T) {
				hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) { testCounts(t, c, exact, fails) })
			})
		}
	}
}

func testCounts(t *testing.T, c hauberktest.Case, exact, fails bool) {
	var j journal
	interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if exact {
			call.CountMessages()
		}
		err := next(ctx, call)
		j.add("sent " + strconv.FormatInt(call.Sent(), 10))
		j.add("received " + strconv.FormatInt(call.Received(), 10))
		return err
	})
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		if c.Kind == hauberk.ClientStream && fails {
			for {
				if _, err := s.Recv(); err != nil {
					return status.Error(codes.Aborted, "no")
				}
			}
		}
		if err := hauberktest.Echo(ctx, s); err != nil || !fails {
			return err
		}
		return status.Error(codes.Aborted, "no")
	}}
	env := c.StartWith(t, backend, interceptor)
	env.Call(patient(t), "a", "b", "c")
	env.Server.GracefulStop()
	requests, responses := 1, 1
	if c.Kind.ClientStreams() {
		requests = 3
	}
	if c.Kind == hauberk.Bidi {
		responses = 3
	}
	if fails && !c.Kind.ServerStreams() {
		responses = 0
	}
	if fails && !exact && c.Kind == hauberk.Unary && c.Side == hauberk.ServerSide {
		requests = 0 // documented: counts if the call succeeded
	}
	if c.Side == hauberk.ServerSide {
		requests, responses = responses, requests
	}
	equal(t, "counts", j.all(), []string{"sent " + strconv.Itoa(requests), "received " + strconv.Itoa(responses)})
}
