package hauberk_test

import (
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// foreign makes a pair of grpc-go interceptors, of one side, that record in a
// journal, put a value into the context and change each message in both
// directions by adding their name.
type foreign struct {
	j    *journal
	name string
}

type foreignKey struct{}

func (f foreign) interceptor(side hauberk.Side) hauberk.Interceptor {
	if side == hauberk.ServerSide {
		return hauberk.FromServer(f.unaryServer, f.streamServer)
	}
	return hauberk.FromClient(f.unaryClient, f.streamClient)
}

func (f foreign) request(msg any) any {
	m := proto.CloneOf(msg.(*testpb.Request))
	m.Text += ">" + f.name
	return m
}

func (f foreign) response(msg any) any {
	m := proto.CloneOf(msg.(*testpb.Response))
	m.Text += "<" + f.name
	return m
}

func (f foreign) unaryServer(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	f.j.add(f.name + " in")
	resp, err := handler(context.WithValue(ctx, foreignKey{}, f.name), f.request(req))
	f.j.add(f.name + " out " + status.Code(err).String())
	if err != nil {
		return nil, err
	}
	return f.response(resp), nil
}

func (f foreign) streamServer(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	f.j.add(f.name + " in")
	err := handler(srv, &foreignServerStream{ss, f})
	f.j.add(f.name + " out " + status.Code(err).String())
	return err
}

type foreignServerStream struct {
	grpc.ServerStream

	f foreign
}

func (s *foreignServerStream) Context() context.Context {
	return context.WithValue(s.ServerStream.Context(), foreignKey{}, s.f.name)
}

func (s *foreignServerStream) SendMsg(msg any) error {
	return s.ServerStream.SendMsg(s.f.response(msg))
}

func (s *foreignServerStream) RecvMsg(msg any) error {
	if err := s.ServerStream.RecvMsg(msg); err != nil {
		return err
	}
	msg.(*testpb.Request).Text += ">" + s.f.name
	return nil
}

func (f foreign) unaryClient(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	f.j.add(f.name + " in")
	ctx = metadata.AppendToOutgoingContext(ctx, "x-foreign", f.name)
	err := invoker(ctx, method, f.request(req), reply, cc, opts...)
	f.j.add(f.name + " out " + status.Code(err).String())
	if err == nil {
		reply.(*testpb.Response).Text += "<" + f.name
	}
	return err
}

func (f foreign) streamClient(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	f.j.add(f.name + " in")
	ctx = metadata.AppendToOutgoingContext(ctx, "x-foreign", f.name)
	cs, err := streamer(ctx, desc, cc, method, opts...)
	if err != nil {
		f.j.add(f.name + " out " + status.Code(err).String())
		return nil, err
	}
	return &foreignClientStream{ClientStream: cs, f: f, many: desc.ServerStreams}, nil
}

type foreignClientStream struct {
	grpc.ClientStream

	f     foreign
	many  bool
	ended atomic.Bool
}

func (s *foreignClientStream) SendMsg(msg any) error { return s.ClientStream.SendMsg(s.f.request(msg)) }

func (s *foreignClientStream) RecvMsg(msg any) error {
	err := s.ClientStream.RecvMsg(msg)
	if err == nil {
		msg.(*testpb.Response).Text += "<" + s.f.name
	}
	if err == io.EOF {
		s.end(nil)
	} else if err != nil || !s.many {
		s.end(err)
	}
	return err
}

func (s *foreignClientStream) end(err error) {
	if !s.ended.Swap(true) {
		s.f.j.add(s.f.name + " out " + status.Code(err).String())
	}
}

// TestForeignInterceptors puts grpc-go interceptors between interceptors: order, context
// and messages are those of their place.
func TestForeignInterceptors(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var j journal
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			if c.Side == hauberk.ServerSide && ctx.Value(foreignKey{}) != "g" {
				t.Errorf("the handler's context has %v", ctx.Value(foreignKey{}))
			}
			if md, _ := metadata.FromIncomingContext(ctx); c.Side == hauberk.ClientSide {
				equal(t, "metadata", md.Get("x-foreign"), []string{"f", "g"})
			}
			return hauberktest.Echo(ctx, s)
		}}
		env := c.StartWith(t, backend,
			j.tag("a"), mark("a"), foreign{&j, "f"}.interceptor(c.Side), j.tag("b"), mark("b"), foreign{&j, "g"}.interceptor(c.Side), mark("c"))
		out := env.Call(t.Context(), "x")
		wantCode(t, out.Err, codes.OK)
		equal(t, "responses", out.Texts(), []string{"echo:x>a>f>b>g>c<c<g<b<f<a"})
		env.Server.GracefulStop()
		equal(t, "journal", j.all(), []string{
			"a in", "f in", "b in", "g in", "g out OK", "b out OK", "f out OK", "a out OK",
		})
	})
}

// mark is an interceptor whose hooks add its name to the messages in both directions.
func mark(name string) hauberk.Interceptor {
	f := foreign{name: name}
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.OnSend(func(msg any, emit func(any) error) error {
			if _, ok := msg.(*testpb.Request); ok {
				return emit(f.request(msg))
			}
			return emit(f.response(msg))
		})
		call.OnReceive(func(msg any) (bool, error) {
			switch m := msg.(type) {
			case *testpb.Request:
				m.Text += ">" + name
			case *testpb.Response:
				m.Text += "<" + name
			}
			return true, nil
		})
		return next(ctx, call)
	})
}

// TestForeignErrors: what inner interceptors fail with passes the adapter, and what
// the adapter's interceptor fails with is the outcome of the interceptors outside.
func TestForeignErrors(t *testing.T) {
	for _, where := range []string{"handler", "inner interceptor", "interceptor"} {
		t.Run(where, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				var j journal
				fails := status.Error(codes.FailedPrecondition, where)
				backend := &hauberktest.Backend{}
				if where == "handler" {
					backend.Handle = func(context.Context, hauberktest.Stream) error { return fails }
				}
				interceptors := []hauberk.Interceptor{j.tag("a"), foreign{&j, "f"}.interceptor(c.Side)}
				if where == "inner interceptor" {
					interceptors = append(interceptors, hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { return fails }))
				}
				if where == "interceptor" {
					interceptors[1] = rejectingAlways(c.Side, fails)
				}
				env := c.StartWith(t, backend, interceptors...)
				out := env.Call(t.Context())
				wantCode(t, out.Err, codes.FailedPrecondition)
				if got := status.Convert(out.Err).Message(); got != where {
					t.Errorf("message %q", got)
				}
				env.Server.GracefulStop()
				got := strings.Join(j.all(), ", ")
				if !strings.HasPrefix(got, "a in") || !strings.HasSuffix(got, "a out FailedPrecondition") {
					t.Errorf("journal %s", got)
				}
			})
		})
	}
}

func rejectingAlways(side hauberk.Side, err error) hauberk.Interceptor {
	if side == hauberk.ServerSide {
		return hauberk.FromServer(
			func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) { return nil, err },
			func(any, grpc.ServerStream, *grpc.StreamServerInfo, grpc.StreamHandler) error { return err })
	}
	return hauberk.FromClient(
		func(context.Context, string, any, any, *grpc.ClientConn, grpc.UnaryInvoker, ...grpc.CallOption) error {
			return err
		},
		func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, grpc.Streamer, ...grpc.CallOption) (grpc.ClientStream, error) {
			return nil, err
		})
}

// TestForeignReply: an inner interceptor's reply goes through the adapter.
func TestForeignReply(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var j journal
		reply := hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
			return call.Reply(&testpb.Response{Text: "reply"})
		})
		env := c.Start(t, mark("a"), foreign{&j, "f"}.interceptor(c.Side), mark("b"), reply)
		out := env.Call(t.Context())
		wantCode(t, out.Err, codes.OK)
		equal(t, "responses", out.Texts(), []string{"reply<b<f<a"})
	})
}

// TestForeignHalves: New reports a missing half, and names the function that does nothing.
func TestForeignHalves(t *testing.T) {
	f := foreign{j: &journal{}, name: "f"}
	for want, x := range map[string]hauberk.Interceptor{
		"PassUnaryServer":  hauberk.FromServer(nil, f.streamServer),
		"PassStreamServer": hauberk.FromServer(f.unaryServer, nil),
		"PassUnaryClient":  hauberk.FromClient(nil, f.streamClient),
		"PassStreamClient": hauberk.FromClient(f.unaryClient, nil),
	} {
		if _, err := hauberk.New(x); err == nil || !strings.Contains(err.Error(), "hauberk."+want) {
			t.Errorf("%v; want an error with %s", err, want)
		}
	}
}

// TestPassThroughHalves: an interceptor of grpc-go with one half runs for its kinds, and
// the others pass.
func TestPassThroughHalves(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var j journal
		f := foreign{&j, "f"}
		unary, stream := hauberk.FromServer(f.unaryServer, hauberk.PassStreamServer), hauberk.FromServer(hauberk.PassUnaryServer, f.streamServer)
		if c.Side == hauberk.ClientSide {
			unary, stream = hauberk.FromClient(f.unaryClient, hauberk.PassStreamClient), hauberk.FromClient(hauberk.PassUnaryClient, f.streamClient)
		}
		for ran, x := range map[bool]hauberk.Interceptor{c.Kind == hauberk.Unary: unary, c.Kind != hauberk.Unary: stream} {
			before := len(j.all())
			wantCode(t, c.Start(t, x).Call(t.Context()).Err, codes.OK)
			if got := len(j.all()) > before; got != ran {
				t.Errorf("the interceptor ran: %t, want %t", got, ran)
			}
		}
	})
}

// TestForeignRetry: a grpc-go interceptor that calls its invoker again makes new
// attempts of what is inside.
func TestForeignRetry(t *testing.T) {
	hauberktest.CheckLeaks(t)
	var j journal
	twice := hauberk.FromClient(
		func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if err := invoker(ctx, method, req, reply, cc, opts...); err == nil {
				return nil
			}
			return invoker(ctx, method, req, reply, cc, opts...)
		},
		func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return streamer(ctx, desc, cc, method, opts...)
		})
	env := hauberktest.Start(t, hauberktest.Setup{Backend: failing(1).Backend, Client: hauberk.Must(hauberk.New(twice, j.tag("attempt")))})
	wantCode(t, env.Call(t.Context()).Err, codes.OK)
	equal(t, "journal", j.all(), []string{"attempt in", "attempt out Unavailable", "attempt in", "attempt out OK"})
}

// TestForeignAbandoned: abandoned streams behind an adapter end with their context.
func TestForeignAbandoned(t *testing.T) {
	for _, kind := range streams {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			var j journal
			outcomes := make(ends, 2)
			env := hauberktest.Start(t, hauberktest.Setup{
				Backend: &hauberktest.Backend{Handle: headerThenWait},
				Client:  hauberk.Must(hauberk.New(outcomes, foreign{&j, "f"}.interceptor(hauberk.ClientSide), outcomes)),
			})
			ctx, cancel := context.WithCancel(t.Context())
			stream := open(ctx, t, env, kind)
			if _, err := stream.Header(); err != nil {
				t.Error(err)
			}
			cancel()
			for range 2 {
				wantCode(t, <-outcomes, codes.Canceled)
			}
		})
	}
}

// TestForeignInHedge: hedged attempts through an adapter.
func TestForeignInHedge(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			var j journal
			more := make(chan struct{}, 1)
			more <- struct{}{}
			env := hauberktest.Start(t, hauberktest.Setup{
				Kind:   kind,
				Client: hauberk.Must(hauberk.New(hedge(more), foreign{&j, "f"}.interceptor(hauberk.ClientSide), mark("b"))),
			})
			out := env.Call(t.Context(), "x")
			wantCode(t, out.Err, codes.OK)
			equal(t, "responses", out.Texts(), []string{"echo:x>f>b<b<f"})
		})
	}
}
