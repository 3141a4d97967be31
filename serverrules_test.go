package hauberk_test

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// The tests of this file hold the rules of a server's streams: a status waits for no
// goroutine that a handler has left behind, registered methods are known, and a chain
// runs once.

// paced is a grpc-go stream that runs a function where hooks run.
type paced struct {
	grpc.ServerStream

	pace func(ctx context.Context, direction string) error
}

func (p paced) RecvMsg(msg any) error {
	if err := p.ServerStream.RecvMsg(msg); err != nil {
		return err
	}
	return p.pace(p.Context(), "receive")
}

func (p paced) SendMsg(msg any) error {
	if err := p.pace(p.Context(), "send"); err != nil {
		return err
	}
	return p.ServerStream.SendMsg(msg)
}

// pacing serves a backend with a function that runs for each message: in a hook, or in
// a stream that an interceptor of grpc-go wraps.
func pacing(t *testing.T, b *hauberktest.Backend, hooks bool, pace func(ctx context.Context, direction string) error) grpc.ClientConnInterface {
	t.Helper()
	if !hooks {
		return bareServer(t, b, []grpc.ServerOption{grpc.StreamInterceptor(
			func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
				return handler(srv, paced{ss, pace})
			})})
	}
	interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.OnReceive(func(any) (bool, error) { return true, pace(ctx, "receive") })
		call.OnSend(func(msg any, emit func(any) error) error {
			if err := pace(ctx, "send"); err != nil {
				return err
			}
			return emit(msg)
		})
		return next(ctx, call)
	})
	return hauberktest.Start(t, hauberktest.Setup{Backend: b, Server: hauberk.Must(hauberk.New(interceptor))}).Conn
}

// TestStatusDoesNotWaitForHooks: a handler's status is sent when the handler returns,
// though a hook is running on a goroutine that the handler has left behind, as with a
// stream that an interceptor of grpc-go wraps. With hooks, what becomes of the message
// is discarded: the goroutine gets an error, and nothing more is sent.
func TestStatusDoesNotWaitForHooks(t *testing.T) {
	for _, who := range []string{"bare grpc-go", "hooks"} {
		for _, direction := range []string{"receive", "send"} {
			for _, until := range []string{"the context ends", "the test ends", "the test ends, and fails"} {
				kinds := uploadKinds
				if direction == "send" {
					kinds = []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi}
				}
				for _, kind := range kinds {
					t.Run(fmt.Sprintf("%s/%s/until %s/%s", who, direction, until, kind), func(t *testing.T) {
						hauberktest.CheckLeaks(t)
						testStatusDoesNotWaitForHooks(t, who == "hooks", direction, until, kind)
					})
				}
			}
		}
	}
}

func testStatusDoesNotWaitForHooks(t *testing.T, hooks bool, direction, until string, kind hauberk.Kind) {
	running, release, left := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var ran atomic.Int64
	pace := func(ctx context.Context, d string) error {
		if d != direction {
			return nil
		}
		if ran.Add(1) == 1 {
			close(running)
		}
		if until == "the context ends" { // as a rate limiter waits
			<-ctx.Done()
			return nil
		}
		<-release
		if until == "the test ends, and fails" {
			return errHook
		}
		return nil
	}
	backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		go func() {
			var err error
			for err == nil {
				if direction == "send" {
					err = s.Send(response("late"))
				} else {
					_, err = s.Recv()
				}
			}
			left <- err
		}()
		<-running
		return status.Error(codes.FailedPrecondition, "done with you")
	}}
	ctx, cancel := context.WithCancel(patient(t))
	defer cancel()
	stream := start(ctx, t, pacing(t, backend, hooks, pace), kind)
	_ = stream.SendMsg(message("a"))
	if !kind.ClientStreams() {
		_ = stream.CloseSend()
	}
	end := receiving(stream)
	if !within(t, "the status", func() {
		got := <-end
		wantCode(t, got.err, codes.FailedPrecondition)
		if got.text != "" {
			t.Errorf("received %q", got.text)
		}
	}) {
		cancel()
	}
	close(release)
	if err := <-left; err == nil {
		t.Error("the goroutine that was left behind got no error")
	}
	if hooks && ran.Load() != 1 {
		t.Errorf("%d hooks ran, one of them when the handler had returned", ran.Load())
	}
}

// byHand describes a service without an implementation, as grpc-go allows.
func byHand() *grpc.ServiceDesc {
	handle := func(_ any, stream grpc.ServerStream) error {
		if err := stream.RecvMsg(new(testpb.Request)); err != nil {
			return err
		}
		return stream.SendMsg(response("by hand"))
	}
	return &grpc.ServiceDesc{
		ServiceName: "by.Hand",
		Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: func(
			_ any, ctx context.Context, dec func(any) error, own grpc.UnaryServerInterceptor,
		) (any, error) {
			req := new(testpb.Request)
			if err := dec(req); err != nil {
				return nil, err
			}
			answer := func(context.Context, any) (any, error) { return response("by hand"), nil }
			if own == nil {
				return answer(ctx, req)
			}
			return own(ctx, req, &grpc.UnaryServerInfo{FullMethod: "/by.Hand/Unary"}, answer)
		}}},
		Streams: []grpc.StreamDesc{
			{StreamName: "ClientStream", Handler: handle, ClientStreams: true},
			{StreamName: "ServerStream", Handler: handle, ServerStreams: true},
			{StreamName: "Bidi", Handler: handle, ClientStreams: true, ServerStreams: true},
		},
	}
}

// methodByHand is a method of byHand.
func methodByHand(kind hauberk.Kind) string {
	return "/by.Hand" + hauberktest.FullMethod(kind)[len("/hauberk.test.v1.TestService"):]
}

// TestServiceWithoutImplementation: the methods of a service that is registered with
// a nil implementation are known and served, however the chain is put on the server;
// others are not known.
func TestServiceWithoutImplementation(t *testing.T) {
	matrixOf(t, func(t *testing.T, c carrier, kind hauberk.Kind) {
		known := map[string]bool{}
		look := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			known[call.Method().FullName()] = call.Method().Known()
			return next(ctx, call)
		})
		srv, registrar := c.make(hauberk.Must(hauberk.New(look)))
		registrar.RegisterService(byHand(), nil)
		conn := listenAndServe(t, srv, bufconn.Listen(1<<20))
		texts, err := echo(patient(t), conn, kind, methodByHand(kind))
		wantCode(t, err, codes.OK)
		equal(t, "responses", texts, []string{"by hand"})
		_, err = echo(patient(t), conn, kind, "/by.Hand/Nothing")
		wantCode(t, err, codes.Unimplemented)
		srv.GracefulStop()
		// A program's own handler of unknown methods is called without an implementation
		// too, as bidirectional, so that such a method which grpc-go alone has registered is
		// not known.
		if want := c.name != "ServerOptions" || kind != hauberk.Bidi; known[methodByHand(kind)] != want {
			t.Errorf("known is %t, want %t", known[methodByHand(kind)], want)
		}
		if known["/by.Hand/Nothing"] {
			t.Error("a method that is not registered is known")
		}
	})
}

// registering is a registrar of a program's own in front of another.
type registering struct{ grpc.ServiceRegistrar }

// TestChainRunsOnceBehindOtherRegistrars: a chain runs once around a call, also with a
// registrar of the program's own between its registrars.
func TestChainRunsOnceBehindOtherRegistrars(t *testing.T) {
	for name, stack := range map[string]func(c *hauberk.Chain) (*grpc.Server, grpc.ServiceRegistrar){
		"Registrar, own, NewServer": func(c *hauberk.Chain) (*grpc.Server, grpc.ServiceRegistrar) {
			srv := c.NewServer()
			return srv.Server, c.Registrar(registering{srv})
		},
		"own, NewServer": func(c *hauberk.Chain) (*grpc.Server, grpc.ServiceRegistrar) {
			srv := c.NewServer()
			return srv.Server, registering{srv}
		},
		"Registrar, own, Registrar": func(c *hauberk.Chain) (*grpc.Server, grpc.ServiceRegistrar) {
			srv := grpc.NewServer()
			return srv, c.Registrar(registering{c.Registrar(srv)})
		},
		"Registrar, own, ServerOptions": func(c *hauberk.Chain) (*grpc.Server, grpc.ServiceRegistrar) {
			srv := grpc.NewServer(c.ServerOptions()...)
			return srv, c.Registrar(registering{srv})
		},
		"Registrar, own, Registrar, own, NewServer": func(c *hauberk.Chain) (*grpc.Server, grpc.ServiceRegistrar) {
			srv := c.NewServer()
			return srv.Server, c.Registrar(registering{c.Registrar(registering{srv})})
		},
		"Registrar, another chain, NewServer": func(c *hauberk.Chain) (*grpc.Server, grpc.ServiceRegistrar) {
			srv := c.NewServer()
			return srv.Server, c.Registrar(idleChain(1).Registrar(srv))
		},
		"Registrar, own, another chain, NewServer": func(c *hauberk.Chain) (*grpc.Server, grpc.ServiceRegistrar) {
			srv := c.NewServer()
			return srv.Server, c.Registrar(registering{idleChain(1).Registrar(registering{srv})})
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range allKinds {
				t.Run(kind.String(), func(t *testing.T) {
					hauberktest.CheckLeaks(t)
					var j journal
					srv, registrar := stack(hauberk.Must(hauberk.New(j.tag("chain"))))
					testpb.RegisterTestServiceServer(registrar, &hauberktest.Backend{})
					conn := listenAndServe(t, srv, bufconn.Listen(1<<20))
					_, err := echo(patient(t), conn, kind, hauberktest.FullMethod(kind))
					wantCode(t, err, codes.OK)
					srv.GracefulStop()
					equal(t, "journal", j.all(), []string{"chain in", "chain out OK"})
				})
			}
		})
	}
}

// TestChainRunsOnceOnAClient: a chain runs once around a call of a connection that has
// it both from DialOptions and from ClientConn.
func TestChainRunsOnceOnAClient(t *testing.T) {
	for _, kind := range allKinds {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			var j journal
			chain := hauberk.Must(hauberk.New(j.tag("chain")))
			env := hauberktest.Start(t, hauberktest.Setup{Kind: kind, Client: chain, DialOptions: chain.DialOptions()})
			wantCode(t, env.Call(patient(t)).Err, codes.OK)
			env.Server.GracefulStop()
			equal(t, "journal", j.all(), []string{"chain in", "chain out OK"})
		})
	}
}

// TestChainRunsOnceAroundOtherRetries: a chain that a connection has both from DialOptions
// and from ClientConn runs once around a call, also if an interceptor of grpc-go between
// them makes the call several times.
func TestChainRunsOnceAroundOtherRetries(t *testing.T) {
	twice := func(ctx context.Context, method string, req, resp any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if err := invoke(ctx, method, req, resp, cc, opts...); err == nil {
			return nil
		}
		return invoke(ctx, method, req, resp, cc, opts...)
	}
	for name, between := range map[string]grpc.StreamClientInterceptor{"opens again": reopens, "opens two": opensTwo} {
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				var runs, calls atomic.Int64
				chain := hauberk.Must(hauberk.New(counter(&runs)))
				backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
					if calls.Add(1) == 1 {
						return status.Error(codes.Unavailable, "restarting")
					}
					return s.Send(response("a"))
				}}
				conn := chain.ClientConn(bare(t, backend, chain.DialOptions(grpc.WithUnaryInterceptor(twice), grpc.WithStreamInterceptor(between))...))
				err := complete(patient(t), conn, kind)
				if name == "opens again" {
					wantCode(t, err, codes.OK)
				}
				if runs.Load() != 1 {
					t.Errorf("the chain ran %d times", runs.Load())
				}
			})
		}
	}
}

// opensTwo opens two streams and uses the second; the first ends with the context.
func opensTwo(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	if stream, err := open(ctx, desc, cc, method, opts...); err != nil {
		return stream, err
	}
	return open(ctx, desc, cc, method, opts...)
}

// TestHandlersThatUseBothDirections: a handler that sends from several goroutines, one
// at a time, while it receives, and returns early, ends with its own status.
func TestHandlersThatUseBothDirections(t *testing.T) {
	for _, interceptors := range [][]hauberk.Interceptor{nil, {passThrough(), passThrough()}, {recoverer{}, passThrough()}} {
		bubbles(t, []hauberk.Kind{hauberk.Bidi}, func(t *testing.T, kind hauberk.Kind) {
			backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
				turn := make(chan struct{}, 1)
				for range 3 {
					go func() {
						for {
							turn <- struct{}{}
							err := s.Send(response("x"))
							<-turn
							if err != nil {
								return
							}
						}
					}()
				}
				for range 5 {
					if _, err := s.Recv(); err != nil {
						return err
					}
				}
				return status.Error(codes.ResourceExhausted, "enough")
			}}
			stream := start(patient(t), t, hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}.StartWith(t, backend, interceptors...).Conn, kind)
			go func() {
				for stream.SendMsg(message("a")) == nil {
					continue
				}
			}()
			err := drain(stream)
			if err == io.EOF {
				t.Error("the call ended with OK")
			}
			wantCode(t, err, codes.ResourceExhausted)
		})
	}
}
