package hauberk_test

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// The tests of this file hold differences from bare grpc-go that are intended and that
// docs/differences.md lists. Each shows what bare grpc-go does as well, so that a
// release of it that does otherwise is noticed.

// TestOnFinishGetsWhatTheApplicationGets: a call is cancelled after its status has
// arrived. OnFinish gets that status, as RecvMsg does.
func TestOnFinishGetsWhatTheApplicationGets(t *testing.T) {
	backend := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
		return status.Error(codes.Aborted, "no")
	}}
	bubbles(t, streams, func(t *testing.T, kind hauberk.Kind) {
		for _, w := range []struct {
			name string
			conn grpc.ClientConnInterface
			want codes.Code // of OnFinish
		}{
			{"bare grpc-go", bare(t, backend), codes.Canceled},
			{"empty chain", behind(t, backend), codes.Aborted},
			{"hooks", behind(t, backend, passThrough()), codes.Aborted},
		} {
			ctx, cancel := context.WithCancel(patient(t))
			finish := make(chan error, 1)
			stream := start(ctx, t, w.conn, kind, grpc.OnFinish(func(err error) { finish <- err }))
			_ = stream.SendMsg(message("a"))
			_ = stream.CloseSend()
			synctest.Wait() // the status has arrived
			cancel()
			synctest.Wait()
			wantCode(t, drain(stream), codes.Aborted)
			if got := status.Code(<-finish); got != w.want {
				t.Errorf("%s: OnFinish got %s, want %s", w.name, got, w.want)
			}
		}
	})
}

// TestRetryEndsACallWhenASendMeetsItsEnd: an interceptor that may retry learns of the
// end of an attempt when a send meets io.EOF. If it does not retry, the call is over
// then. On bare grpc-go a call is over when the application has received the status.
func TestRetryEndsACallWhenASendMeetsItsEnd(t *testing.T) {
	backend := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
		return status.Error(codes.Aborted, "no")
	}}
	bubbles(t, uploadKinds, func(t *testing.T, kind hauberk.Kind) {
		for _, w := range []struct {
			name string
			conn grpc.ClientConnInterface
			over bool // before the application receives
		}{
			{"bare grpc-go", bare(t, backend), false},
			{"empty chain", behind(t, backend), false},
			{"retry", behind(t, backend, retry(3)), true},
		} {
			var over atomic.Bool
			stream := start(patient(t), t, w.conn, kind, grpc.OnFinish(func(error) { over.Store(true) }))
			synctest.Wait() // the status has arrived
			if err := stream.SendMsg(message("a")); err != io.EOF {
				t.Errorf("%s: SendMsg: %v", w.name, err)
			}
			synctest.Wait()
			if over.Load() != w.over {
				t.Errorf("%s: before the application receives, over is %t", w.name, over.Load())
			}
			if isDone(stream.Context()) != w.over {
				t.Errorf("%s: before the application receives, the context is done: %t", w.name, !w.over)
			}
			wantCode(t, drain(stream), codes.Aborted)
			if !over.Load() {
				t.Errorf("%s: the call is not over at its end", w.name)
			}
		}
	})
}

// TestSecondResponseFailsEachReceive: a server sends two responses of a method that
// has one. RecvMsg returns INTERNAL, and INTERNAL again.
func TestSecondResponseFailsEachReceive(t *testing.T) {
	backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		for range 2 {
			if err := s.Send(response("x")); err != nil {
				return err
			}
		}
		return nil
	}}
	bubbles(t, []hauberk.Kind{hauberk.ClientStream}, func(t *testing.T, kind hauberk.Kind) {
		for _, w := range []struct {
			name   string
			conn   grpc.ClientConnInterface
			second string
		}{
			{"bare grpc-go", bare(t, backend), "EOF"},
			{"empty chain", behind(t, backend), "Internal"},
			{"hooks", behind(t, backend, passThrough()), "Internal"},
		} {
			stream := start(patient(t), t, w.conn, kind)
			_ = stream.CloseSend()
			for _, want := range []string{"Internal", w.second, w.second} {
				if got := show(stream.RecvMsg(new(testpb.Response))); got != want {
					t.Errorf("%s: RecvMsg: %s, want %s", w.name, got, want)
				}
			}
		}
	})
}

// TestHeldResponseFailsAfterTheChain: the one response of a stream's handler is too
// large. With interceptors it is sent when the chain has returned: the handler and the
// interceptors see no error, and the client gets it.
func TestHeldResponseFailsAfterTheChain(t *testing.T) {
	for _, c := range []struct {
		name         string
		interceptors []hauberk.Interceptor
		handler      codes.Code // what the handler's SendMsg returns
	}{
		{"bare grpc-go", nil, codes.ResourceExhausted},
		{"empty chain", nil, codes.ResourceExhausted},
		{"interceptor", []hauberk.Interceptor{hauberk.Func(idle)}, codes.OK},
		{"hooks", []hauberk.Interceptor{passThrough()}, codes.OK},
	} {
		t.Run(c.name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			sent := make(chan error, 1)
			backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
				err := s.Send(&testpb.Response{Payload: make([]byte, 2000)})
				sent <- err
				return err
			}}
			opts := []grpc.ServerOption{grpc.MaxSendMsgSize(1000)}
			if c.name != "bare grpc-go" {
				opts = append(opts, hauberk.Must(hauberk.New(c.interceptors...)).ServerOptions()...)
			}
			stream := start(patient(t), t, bareServer(t, backend, opts), hauberk.ClientStream)
			_ = stream.CloseSend()
			wantCode(t, drain(stream), codes.ResourceExhausted)
			wantCode(t, <-sent, c.handler)
		})
	}
}

// receiveCounter is an interceptor of grpc-go that counts what its stream is asked to
// receive.
type receiveCounter struct {
	grpc.ClientStream

	n *atomic.Int64
}

func (c receiveCounter) RecvMsg(msg any) error {
	c.n.Add(1)
	return c.ClientStream.RecvMsg(msg)
}

// TestReceiveAfterTheEndStaysOutside: a RecvMsg after the end is answered without the
// streams of inner grpc-go interceptors.
func TestReceiveAfterTheEndStaysOutside(t *testing.T) {
	bubbles(t, streams, func(t *testing.T, kind hauberk.Kind) {
		for _, chained := range []bool{false, true} {
			var n atomic.Int64
			var conn grpc.ClientConnInterface = bare(t, &hauberktest.Backend{Handle: hauberktest.Echo}, grpc.WithStreamInterceptor(
				func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
					stream, err := open(ctx, desc, cc, method, opts...)
					return receiveCounter{stream, &n}, err
				}))
			if chained {
				conn = idleChain(1).ClientConn(conn)
			}
			stream := start(patient(t), t, conn, kind)
			_ = stream.SendMsg(message("a"))
			_ = stream.CloseSend()
			_ = drain(stream)
			atEnd := n.Load()
			for range 3 {
				if err := stream.RecvMsg(new(testpb.Response)); err != io.EOF {
					t.Errorf("RecvMsg after the end: %v", err)
				}
			}
			want := int64(3)
			if chained {
				want = 0
			}
			if got := n.Load() - atEnd; got != want {
				t.Errorf("behind a chain %t: the inner stream was asked %d times after the end, want %d", chained, got, want)
			}
		}
	})
}

// eventCounter counts the calls that a server's stats handler sees.
type eventCounter struct {
	begins atomic.Int64
	ends   chan struct{}
}

func (*eventCounter) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (*eventCounter) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*eventCounter) HandleConn(context.Context, stats.ConnStats)                       {}

func (c *eventCounter) HandleRPC(_ context.Context, s stats.RPCStats) {
	switch s.(type) {
	case *stats.Begin:
		c.begins.Add(1)
	case *stats.End:
		c.ends <- struct{}{}
	}
}

// TestUnknownMethodsAreCallsOfStatsHandlers: a stats handler sees the beginning and the
// end of a call of an unknown method if the chain runs for it.
func TestUnknownMethodsAreCallsOfStatsHandlers(t *testing.T) {
	for name, want := range map[string]int64{"bare grpc-go": 0, "chain": 1} {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			seen := eventCounter{ends: make(chan struct{}, 1)}
			opts := []grpc.ServerOption{grpc.StatsHandler(&seen)}
			if want > 0 {
				opts = append(opts, idleChain(1).ServerOptions()...)
			}
			conn := bareServer(t, &hauberktest.Backend{}, opts)
			err := conn.Invoke(patient(t), "/hauberk.test.v1.TestService/Nope", message("a"), new(testpb.Response))
			wantCode(t, err, codes.Unimplemented)
			if want > 0 {
				within(t, "the end of the call", func() { <-seen.ends })
			}
			if got := seen.begins.Load(); got != want {
				t.Errorf("%d calls began, want %d", got, want)
			}
		})
	}
}

// TestTextsOfUnimplemented: the texts of unknown services and methods are those of
// grpc-go if the services are registered through the chain. With ServerOptions alone a
// chain does not know them, and every unknown method is one of an unknown service.
func TestTextsOfUnimplemented(t *testing.T) {
	for name, c := range map[string]struct {
		server func() (*grpc.Server, grpc.ServiceRegistrar)
		want   string // of an unknown method of a known service
	}{
		"bare grpc-go": {
			func() (*grpc.Server, grpc.ServiceRegistrar) { srv := grpc.NewServer(); return srv, srv },
			"unknown method Nope for service hauberk.test.v1.TestService",
		},
		"NewServer": {
			func() (*grpc.Server, grpc.ServiceRegistrar) { srv := idleChain(1).NewServer(); return srv.Server, srv },
			"unknown method Nope for service hauberk.test.v1.TestService",
		},
		"ServerOptions and Registrar": {
			func() (*grpc.Server, grpc.ServiceRegistrar) {
				c := idleChain(1)
				srv := grpc.NewServer(c.ServerOptions()...)
				return srv, c.Registrar(srv)
			},
			"unknown method Nope for service hauberk.test.v1.TestService",
		},
		"ServerOptions": {
			func() (*grpc.Server, grpc.ServiceRegistrar) {
				srv := grpc.NewServer(idleChain(1).ServerOptions()...)
				return srv, srv
			},
			"unknown service hauberk.test.v1.TestService",
		},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			srv, registrar := c.server()
			testpb.RegisterTestServiceServer(registrar, &hauberktest.Backend{})
			conn := listenAndServe(t, srv, bufconn.Listen(1<<20))
			for method, want := range map[string]string{
				"/hauberk.test.v1.TestService/Nope": c.want,
				"/no.Service/Do":                    "unknown service no.Service",
				"//":                                "unknown service ",
			} {
				err := conn.Invoke(patient(t), method, message("a"), new(testpb.Response))
				wantStatus(t, status.Convert(err), codes.Unimplemented, want)
			}
			srv.GracefulStop()
		})
	}
}

// TestWhatIsLostAtTheDeadline: messages and a status that had arrived when the deadline
// passed are received after it, unless there are more than a bound, or the application
// has not shown of which type they are.
func TestWhatIsLostAtTheDeadline(t *testing.T) {
	const many, bound = 1<<14 + 100, 1 << 14
	empty := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		for range many {
			if err := s.Send(new(testpb.Response)); err != nil {
				return err
			}
		}
		return nil
	}}
	window := []grpc.DialOption{grpc.WithInitialWindowSize(1 << 20), grpc.WithInitialConnWindowSize(1 << 20)}
	through := func(opts []grpc.DialOption, interceptors ...hauberk.Interceptor) []grpc.DialOption {
		return append(slices.Clip(opts), hauberk.Must(hauberk.New(interceptors...)).DialOptions()...)
	}
	raw := func(t *testing.T, opts ...grpc.DialOption) grpc.ClientConnInterface {
		srv := hauberk.Must(hauberk.New()).NewServer(grpc.ForceServerCodecV2(bytesCodec{}))
		srv.RegisterService(rawDesc(), nil)
		return listenAndServe(t, srv, bufconn.Listen(1<<20), opts...)
	}
	for _, c := range []struct {
		name     string
		method   string
		conn     func(t *testing.T, opts ...grpc.DialOption) grpc.ClientConnInterface
		response any
		want     int // of bare grpc-go, and OK
		behind   int // a chain, and DEADLINE_EXCEEDED
	}{
		{
			"many", hauberktest.FullMethod(hauberk.Bidi),
			func(t *testing.T, opts ...grpc.DialOption) grpc.ClientConnInterface { return bare(t, empty, opts...) },
			new(testpb.Response), many, bound,
		},
		{"unknown type", methodByHand(hauberk.Bidi), raw, new([]byte), 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var opts []grpc.CallOption
				if c.behind == 0 {
					opts = append(opts, grpc.ForceCodecV2(bytesCodec{}))
				}
				count := func(conn grpc.ClientConnInterface) (n int, err error) {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					stream, err := conn.NewStream(ctx, descOf(hauberk.Bidi), c.method, opts...)
					if err != nil {
						t.Fatal(err)
					}
					if err := stream.CloseSend(); err != nil {
						t.Fatal(err)
					}
					<-ctx.Done()
					synctest.Wait()
					for ; err == nil; n++ {
						err = stream.RecvMsg(c.response)
					}
					return n - 1, err
				}
				if n, err := count(c.conn(t, window...)); n != c.want || err != io.EOF {
					t.Errorf("bare: %d messages, then %v", n, err)
				}
				n, err := count(c.conn(t, through(window, hauberk.Func(idle))...))
				wantCode(t, err, codes.DeadlineExceeded)
				if n != c.behind {
					t.Errorf("behind a chain: %d messages, then %v", n, err)
				}
			})
		})
	}
}

// TestReadOnAClosedConn: nothing ends a call whose interceptor waits for the request
// when the connection is closed, since no stream of grpc-go is open yet.
func TestReadOnAClosedConn(t *testing.T) {
	reads := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if _, err := call.Read(ctx); err != nil {
			return err
		}
		return next(ctx, call)
	})
	synctest.Test(t, func(t *testing.T) {
		for _, opts := range [][]grpc.DialOption{nil, hauberk.Must(hauberk.New(reads)).DialOptions()} {
			conn := bare(t, &hauberktest.Backend{}, opts...)
			stream := start(patient(t), t, conn, hauberk.ServerStream)
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			// CANCELED or UNAVAILABLE on bare grpc-go, by who is first
			got := status.Code(stream.RecvMsg(new(testpb.Response)))
			if late := got == codes.DeadlineExceeded; late != (opts != nil) {
				t.Errorf("with %d options: %s", len(opts), got)
			}
		}
	})
}

// TestHandlerWithoutAResponse: the handler of a client stream returns nil and has sent
// nothing. grpc-go sends OK, which its clients turn into INTERNAL; a chain sends
// INTERNAL.
func TestHandlerWithoutAResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error { return nil }}
		for _, c := range []struct {
			name string
			conn grpc.ClientConnInterface
			want string
		}{
			{"bare", bare(t, b), "cardinality violation"},
			{"chain", hauberktest.Start(t, hauberktest.Setup{Backend: b, Server: idleChain(1)}).Conn, "without a response"},
		} {
			stream := start(t.Context(), t, c.conn, hauberk.ClientStream)
			_ = stream.CloseSend()
			err := stream.RecvMsg(new(testpb.Response))
			wantCode(t, err, codes.Internal)
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	})
}

// rope is a message of ropeCodec, with content that a pointer leads to.
type rope struct{ content []byte }

type ropeCodec struct{}

func (ropeCodec) Name() string { return "rope" }

func (ropeCodec) Marshal(v any) ([]byte, error) { return bytes.Clone(v.(*rope).content), nil }

func (ropeCodec) Unmarshal(data []byte, v any) error {
	v.(*rope).content = bytes.Clone(data)
	return nil
}

// TestHeldResponseOfAnotherCodec: the handler of a client stream modifies what its response
// refers to after it has sent that. grpc-go has encoded it before; a chain with
// interceptors has copied the response alone.
func TestHeldResponseOfAnotherCodec(t *testing.T) {
	desc := &grpc.ServiceDesc{ServiceName: "by.Hand", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{{
		StreamName: "ClientStream", ClientStreams: true,
		Handler: func(_ any, stream grpc.ServerStream) error {
			sent := &rope{[]byte("first")}
			defer copy(sent.content, "other")
			return stream.SendMsg(sent)
		},
	}}}
	for interceptors, want := range []string{"first", "other"} { // as grpc-go without interceptors
		srv := idleChain(interceptors).NewServer(grpc.ForceServerCodec(ropeCodec{}))
		srv.RegisterService(desc, nil)
		conn := listenAndServe(t, srv, bufconn.Listen(1<<20))
		stream, err := conn.NewStream(patient(t), descOf(hauberk.ClientStream), methodByHand(hauberk.ClientStream), grpc.ForceCodec(ropeCodec{}))
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.CloseSend()
		var got rope
		wantCode(t, stream.RecvMsg(&got), codes.OK)
		if string(got.content) != want {
			t.Errorf("behind %d interceptors: %q, want %q", interceptors, got.content, want)
		}
	}
}

// TestAdapterOfAnUnknownRequest: an interceptor of grpc-go inside of a chain that runs
// before the request is read needs the type of the request. It gets the request if the
// method's handler has read it.
func TestAdapterOfAnUnknownRequest(t *testing.T) {
	matrixOf(t, func(t *testing.T, c carrier, kind hauberk.Kind) {
		if kind != hauberk.Unary {
			return
		}
		passes := hauberk.FromServer(hauberk.PassUnaryServer, hauberk.PassStreamServer)
		srv, registrar := c.make(hauberk.Must(hauberk.New(passes)))
		registrar.RegisterService(byHand(), nil)
		_, err := echo(patient(t), listenAndServe(t, srv, bufconn.Listen(1<<20)), kind, methodByHand(kind))
		want := codes.OK
		if c.headerFirst {
			want = codes.Internal
		}
		wantCode(t, err, want)
	})
}

// TestHandlerOfAnAdapterRunsOnce: an interceptor of grpc-go calls its handler again.
func TestHandlerOfAnAdapterRunsOnce(t *testing.T) {
	again := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		for {
			resp, err := handler(ctx, req)
			if status.Code(err) != codes.Aborted {
				return resp, err
			}
		}
	}
	for name, c := range map[string]struct {
		opts []grpc.ServerOption
		want codes.Code
	}{
		"bare":       {[]grpc.ServerOption{grpc.UnaryInterceptor(again)}, codes.OK},
		"inside":     {hauberk.Must(hauberk.New(hauberk.Func(idle))).ServerOptions(grpc.ChainUnaryInterceptor(again)), codes.OK},
		"FromServer": {hauberk.Must(hauberk.New(hauberk.FromServer(again, hauberk.PassStreamServer))).ServerOptions(), codes.Internal},
	} {
		var calls atomic.Int64
		conn := bareServer(t, &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			if calls.Add(1) == 1 {
				return status.Error(codes.Aborted, "serialization failure")
			}
			return hauberktest.Echo(ctx, s)
		}}, c.opts)
		_, err := testpb.NewTestServiceClient(conn).Unary(patient(t), message("x"))
		if status.Code(err) != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
