package hauberk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// textOf returns the text of a request or a response, to be read or changed.
func textOf(msg any) *string {
	if req, ok := msg.(*testpb.Request); ok {
		return &req.Text
	}
	return &msg.(*testpb.Response).Text
}

// sends is an interceptor with a send hook.
func sends(hook hauberk.SendHook) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.OnSend(hook)
		return next(ctx, call)
	})
}

// receives is an interceptor with a receive hook.
func receives(hook hauberk.ReceiveHook) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.OnReceive(hook)
		return next(ctx, call)
	})
}

// writes is an interceptor that adds its name to each message: to a clone of those sent,
// in place to those received.
func writes(name string) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.OnSend(func(msg any, emit func(any) error) error {
			changed := proto.Clone(msg.(proto.Message))
			*textOf(changed) += " " + name
			return emit(changed)
		})
		call.OnReceive(func(msg any) (bool, error) {
			*textOf(msg) += " " + name
			return true, nil
		})
		return next(ctx, call)
	})
}

// sendStreams and receiveStreams report whether a case's side may send or receive
// any number of messages.
func sendStreams(c hauberktest.Case) bool {
	if c.Side == hauberk.ServerSide {
		return c.Kind.ServerStreams()
	}
	return c.Kind.ClientStreams()
}

func receiveStreams(c hauberktest.Case) bool {
	if c.Side == hauberk.ServerSide {
		return c.Kind.ClientStreams()
	}
	return c.Kind.ServerStreams()
}

// recorder is a backend that keeps the texts of requests, and answers "r".
func recorder(j *journal) *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		for {
			req, err := s.Recv()
			if errors.Is(err, io.EOF) {
				return s.Send(shared)
			}
			if err != nil {
				return err
			}
			j.add(req.GetText())
		}
	}}
}

// shared is a response that handlers share, as they may.
var shared = &testpb.Response{Text: "r"}

// TestHookOrder passes messages through two interceptors: the transport is outside on a
// server, and inside on a client. What the application sends stays as it was.
func TestHookOrder(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var j journal
		env := c.StartWith(t, recorder(&j), writes("outer"), hauberk.Func(idle), writes("inner"))
		request := &testpb.Request{Text: "q"}
		out := env.Do(patient(t), hauberktest.FullMethod(c.Kind), []*testpb.Request{request})
		wantCode(t, out.Err, codes.OK)
		in, back := "outer inner", "inner outer"
		equal(t, "requests", j.all(), []string{"q " + in})
		equal(t, "responses", out.Texts(), []string{"r " + back})
		if request.GetText() != "q" || shared.GetText() != "r" {
			t.Errorf("the application's messages are now %q and %q", request.GetText(), shared.GetText())
		}
	})
}

// TestEmit emits none, one or three of each message sent. Where there can be only
// one, another number is INTERNAL.
func TestEmit(t *testing.T) {
	for _, n := range []int{0, 1, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				var j journal
				var emitted atomic.Int64
				emitter := sends(func(msg any, emit func(any) error) error {
					var err error
					for range n {
						err = errors.Join(err, emit(msg))
					}
					return err
				})
				inner := sends(func(msg any, emit func(any) error) error { return emit(msg) })
				counter := sends(func(msg any, emit func(any) error) error {
					emitted.Add(1)
					return emit(msg)
				})
				interceptors := []hauberk.Interceptor{counter, emitter, inner}
				if c.Side == hauberk.ClientSide {
					slices.Reverse(interceptors)
				}
				env := c.StartWith(t, recorder(&j), interceptors...)
				out := env.Call(patient(t), "q")
				if !sendStreams(c) && n != 1 {
					wantCode(t, out.Err, codes.Internal)
					return
				}
				wantCode(t, out.Err, codes.OK)
				if got := int(emitted.Load()); got != n {
					t.Errorf("the hook further on saw %d messages, want %d", got, n)
				}
				requests, responses := 1, n
				if c.Side == hauberk.ClientSide {
					requests, responses = n, 1
				}
				equal(t, "requests", j.all(), slices.Repeat([]string{"q"}, requests))
				equal(t, "responses", out.Texts(), slices.Repeat([]string{"r"}, responses))
			})
		})
	}
}

// TestKeep drops messages on their way in. Where there is only one, that is
// INTERNAL.
func TestKeep(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var j journal
		backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
			for {
				req, err := s.Recv()
				if err != nil {
					break
				}
				j.add(req.GetText())
			}
			if !c.Kind.ServerStreams() {
				return s.Send(&testpb.Response{Text: "drop"})
			}
			for _, text := range []string{"drop", "a", "drop", "drop", "b", "drop"} {
				if err := s.Send(&testpb.Response{Text: text}); err != nil {
					return err
				}
			}
			return nil
		}}
		dropper := receives(func(msg any) (bool, error) { return *textOf(msg) != "drop", nil })
		seen := receives(func(msg any) (bool, error) {
			if *textOf(msg) == "drop" {
				t.Error("a dropped message went on")
			}
			return true, nil
		})
		interceptors := []hauberk.Interceptor{dropper, seen}
		if c.Side == hauberk.ClientSide {
			slices.Reverse(interceptors)
		}
		out := c.StartWith(t, backend, interceptors...).Call(patient(t), "drop", "a", "drop", "b", "drop")
		switch {
		case !receiveStreams(c):
			wantCode(t, out.Err, codes.Internal)
		case c.Side == hauberk.ServerSide:
			wantCode(t, out.Err, codes.OK)
			equal(t, "requests", j.all(), []string{"a", "b"})
		default:
			wantCode(t, out.Err, codes.OK)
			equal(t, "responses", out.Texts(), []string{"a", "b"})
		}
	})
}

// stubborn is a backend that takes no notice of errors.
var stubborn = &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
	for {
		if _, err := s.Recv(); err != nil {
			break
		}
	}
	_ = s.Send(&testpb.Response{Text: "r"})
	if !strings.HasSuffix(s.Method(), "ClientStream") {
		_ = s.Send(&testpb.Response{Text: "r"})
	}
	return nil
}}

var errHook = errors.New("what the hook really found")

func hookRejection() error {
	r := hauberk.Reject(codes.FailedPrecondition, "BAD_MESSAGE", "bad message")
	r.Cause = errHook
	return r
}

// TestHookErrors fails a hook: the call ends with the error's status, whether the
// handler, another hook or the inner interceptor takes notice or not.
func TestHookErrors(t *testing.T) {
	failing := map[string]hauberk.Interceptor{
		"send":                   sends(func(any, func(any) error) error { return hookRejection() }),
		"send after emit":        sends(func(msg any, emit func(any) error) error { return errors.Join(emit(msg), hookRejection()) }),
		"receive":                receives(func(any) (bool, error) { return false, hookRejection() }),
		"receive with keep true": receives(func(any) (bool, error) { return true, hookRejection() }),
	}
	careless := sends(func(msg any, emit func(any) error) error {
		_ = emit(msg)
		return nil
	})
	for name, interceptor := range failing {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				e := make(endings, 1)
				interceptors := []hauberk.Interceptor{e, interceptor, careless}
				if c.Side == hauberk.ClientSide {
					interceptors = []hauberk.Interceptor{e, careless, interceptor}
				}
				out := c.StartWith(t, stubborn, interceptors...).Call(patient(t))
				wantCode(t, out.Err, codes.FailedPrecondition)
				if got := hauberk.Reason(out.Err); got != "BAD_MESSAGE" {
					t.Errorf("reason %q", got)
				}
				if err := <-e; !errors.Is(err, errHook) {
					t.Errorf("the outer interceptor got %v", err)
				}
				if c.Side == hauberk.ClientSide && !errors.Is(out.Err, errHook) {
					t.Errorf("the application got %v", out.Err)
				}
			})
		})
	}
}

// TestHookErrorIsNotLost has an inner interceptor than the hook that turns every
// error into nothing.
func TestHookErrorIsNotLost(t *testing.T) {
	swallow := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		_ = next(ctx, call)
		return nil
	})
	for name, interceptor := range map[string]hauberk.Interceptor{
		"send":    sends(func(any, func(any) error) error { return hookRejection() }),
		"receive": receives(func(any) (bool, error) { return false, hookRejection() }),
	} {
		t.Run(name, func(t *testing.T) {
			perKind(t, func(t *testing.T, c hauberktest.Case) {
				out := c.StartWith(t, stubborn, interceptor, swallow).Call(patient(t))
				wantCode(t, out.Err, codes.FailedPrecondition)
			})
		})
	}
}

// TestHookErrorBeforeTheHandlers has a handler that makes another error of it.
func TestHookErrorBeforeTheHandlers(t *testing.T) {
	perKind(t, func(t *testing.T, c hauberktest.Case) {
		backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
			if _, err := s.Recv(); err == nil {
				t.Error("received what a hook had rejected")
			}
			return hauberk.Reject(codes.Aborted, "HANDLER", "no")
		}}
		interceptor := receives(func(any) (bool, error) { return false, hookRejection() })
		wantCode(t, c.StartWith(t, backend, interceptor).Call(patient(t)).Err, codes.FailedPrecondition)
	})
}

// TestReplyAfterAHookError answers otherwise: the interceptor's own reply holds.
func TestReplyAfterAHookError(t *testing.T) {
	fallback := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		if status := hauberk.StatusOf(err); status.Code() != codes.FailedPrecondition {
			t.Errorf("next returned %v", err)
		}
		return call.Reply(&testpb.Response{Text: "fallback"})
	})
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		interceptor := receives(func(any) (bool, error) { return false, hookRejection() })
		if c.Side == hauberk.ServerSide {
			interceptor = sends(func(any, func(any) error) error { return hookRejection() })
		}
		out := c.StartWith(t, stubborn, writes("outer"), fallback, interceptor).Call(patient(t))
		wantCode(t, out.Err, codes.OK)
		equal(t, "responses", out.Texts(), []string{"fallback outer"})
	})
}

// TestEmitNil emits no message at all.
func TestEmitNil(t *testing.T) {
	for name, hook := range map[string]hauberk.SendHook{
		"returned": func(_ any, emit func(any) error) error { return emit(nil) },
		"ignored": func(msg any, emit func(any) error) error {
			_ = emit(nil)
			return emit(msg)
		},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				out := c.StartWith(t, stubborn, sends(hook)).Call(patient(t))
				wantCode(t, out.Err, codes.Internal)
			})
		})
	}
}

// TestHooksSeeOnce counts what the hooks of three interceptors see, while an interceptor between
// replaces the response and reads the request.
func TestHooksSeeOnce(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var j journal
		see := func(name string) hauberk.Interceptor {
			return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				call.OnSend(func(msg any, emit func(any) error) error {
					j.add(name + " sends " + *textOf(msg))
					return emit(msg)
				})
				call.OnReceive(func(msg any) (bool, error) {
					j.add(name + " receives " + *textOf(msg))
					return true, nil
				})
				return next(ctx, call)
			})
		}
		between := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if !c.Kind.ClientStreams() {
				for range 2 {
					if _, err := call.Read(ctx); err != nil {
						return err
					}
				}
			}
			_ = next(ctx, call)
			return call.Reply(&testpb.Response{Text: "reply"})
		})
		quiet := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			for {
				if _, err := s.Recv(); err != nil {
					break
				}
			}
			if c.Kind.ServerStreams() {
				return nil
			}
			return s.Send(shared)
		}}
		env := c.StartWith(t, quiet, see("outer"), see("second"), between, see("inner"))
		out := env.Call(patient(t), "q")
		wantCode(t, out.Err, codes.OK)
		env.Server.GracefulStop()
		equal(t, "responses", out.Texts(), []string{"reply"})
		in, back := "receives", "sends"
		if c.Side == hauberk.ClientSide {
			in, back = back, in
		}
		want := []string{"outer " + in + " q", "second " + in + " q", "inner " + in + " q"}
		if !c.Kind.ServerStreams() {
			want = append(want, "inner "+back+" r")
		}
		equal(t, "journal", j.all(), append(want, "second "+back+" reply", "outer "+back+" reply"))
	})
}

// jsonCodec carries any Go value, under its own name.
type jsonCodec struct{}

func (jsonCodec) Name() string                       { return "json" }
func (jsonCodec) Marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func (jsonCodec) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

// plainMessage is a message that is not protobuf, and not comparable.
type plainMessage struct {
	Text string
	List []string
}

// plainServer is the Go interface of a service of plain messages.
type plainServer interface {
	Unary(ctx context.Context, req *plainMessage) (*plainMessage, error)
	ServerStream(req *plainMessage, stream grpc.ServerStream) error
}

type plainService struct{}

func (plainService) Unary(_ context.Context, req *plainMessage) (*plainMessage, error) {
	return &plainMessage{Text: "echo:" + req.Text, List: req.List}, nil
}

func (s plainService) ServerStream(req *plainMessage, stream grpc.ServerStream) error {
	resp, _ := s.Unary(stream.Context(), req)
	return stream.SendMsg(resp)
}

func (s plainService) many(_ any, stream grpc.ServerStream) error {
	var last *plainMessage
	for {
		req := new(plainMessage)
		if err := stream.RecvMsg(req); err != nil {
			return s.ServerStream(last, stream)
		}
		last = req
	}
}

func (s plainService) one(_ any, stream grpc.ServerStream) error {
	req := new(plainMessage)
	if err := stream.RecvMsg(req); err != nil {
		return err
	}
	return s.ServerStream(req, stream)
}

func plainDesc() *grpc.ServiceDesc {
	s := plainService{}
	return &grpc.ServiceDesc{
		ServiceName: "plain.Service", HandlerType: (*plainServer)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Unary",
			Handler: func(srv any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				req := new(plainMessage)
				if err := dec(req); err != nil {
					return nil, err
				}
				return srv.(plainServer).Unary(ctx, req)
			},
		}},
		Streams: []grpc.StreamDesc{
			{StreamName: "ClientStream", Handler: s.many, ClientStreams: true},
			{StreamName: "ServerStream", Handler: s.one, ServerStreams: true},
			{StreamName: "Bidi", Handler: s.many, ClientStreams: true, ServerStreams: true},
		},
	}
}

// TestPlainMessages sends messages that are not protobuf through hooks, Read and
// Reply on both sides.
func TestPlainMessages(t *testing.T) {
	names := map[hauberk.Kind]string{hauberk.Unary: "Unary", hauberk.ClientStream: "ClientStream", hauberk.ServerStream: "ServerStream", hauberk.Bidi: "Bidi"}
	for _, how := range []string{"changed", "replied"} {
		for _, c := range hauberktest.Cases() {
			t.Run(how+"/"+c.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					call.OnSend(func(msg any, emit func(any) error) error {
						changed := *msg.(*plainMessage)
						changed.Text += "+"
						return emit(&changed)
					})
					call.OnReceive(func(msg any) (bool, error) {
						msg.(*plainMessage).Text += "+"
						return true, nil
					})
					if !c.Kind.ClientStreams() {
						if msg, err := call.Read(ctx); err != nil || len(msg.(*plainMessage).List) != 1 {
							t.Errorf("Read: %v, %v", msg, err)
						}
					}
					err := next(ctx, call)
					if how == "replied" {
						err = call.Reply(&plainMessage{Text: "reply"})
					}
					return err
				})
				conn, srv := plainConn(t, c.Side, interceptor)
				desc := descOf(c.Kind)
				stream, err := conn.NewStream(patient(t), desc, "/plain.Service/"+names[c.Kind], grpc.ForceCodec(jsonCodec{}))
				if err != nil {
					t.Fatal(err)
				}
				if err := stream.SendMsg(&plainMessage{Text: "q", List: []string{"x"}}); err != nil {
					t.Fatal(err)
				}
				_ = stream.CloseSend()
				var texts []string
				for err == nil {
					resp := new(plainMessage)
					if err = stream.RecvMsg(resp); err == nil {
						texts = append(texts, resp.Text)
					}
					if !desc.ServerStreams {
						break
					}
				}
				if ignoreEOF(err) != nil {
					t.Error(err)
				}
				want := []string{"echo:q++"}
				if how == "replied" {
					want = []string{"reply"}
					if c.Kind.ServerStreams() {
						want = []string{"echo:q++", "reply"}
					}
				}
				equal(t, "responses", texts, want)
				srv.GracefulStop()
			})
		}
	}
}

func plainConn(t *testing.T, side hauberk.Side, interceptor hauberk.Interceptor) (grpc.ClientConnInterface, *hauberk.Server) {
	t.Helper()
	server, client := idleChain(0), idleChain(0)
	if side == hauberk.ServerSide {
		server = hauberk.Must(hauberk.New(interceptor))
	} else {
		client = hauberk.Must(hauberk.New(interceptor))
	}
	srv := server.NewServer(grpc.ForceServerCodec(jsonCodec{}))
	srv.RegisterService(plainDesc(), plainService{})
	return client.ClientConn(listenAndServe(t, srv, bufconn.Listen(1<<20))), srv
}

// TestErrorsOfHooksNameTheInterceptor: a nil function, and hooks that lose or multiply a
// single message, end the call with INTERNAL in the name of their interceptor.
func TestErrorsOfHooksNameTheInterceptor(t *testing.T) {
	type mistake struct {
		make func(call *hauberk.Call)
		says string
		send bool // it is about the single message that this side sends
		recv bool // or receives
	}
	for name, m := range map[string]mistake{
		"OnSend(nil)":       {make: func(call *hauberk.Call) { call.OnSend(nil) }, says: "mine called Call.OnSend with a nil function"},
		"OnReceive(nil)":    {make: func(call *hauberk.Call) { call.OnReceive(nil) }, says: "mine called Call.OnReceive with a nil function"},
		"BeforeHeader(nil)": {make: func(call *hauberk.Call) { call.BeforeHeader(nil) }, says: "mine called Call.BeforeHeader with a nil function"},
		"a nil message": {make: func(call *hauberk.Call) {
			call.OnSend(func(_ any, emit func(any) error) error { return emit(nil) })
		}, says: "a send hook of mine emitted a nil message"},
		"no message": {make: func(call *hauberk.Call) {
			call.OnSend(func(any, func(any) error) error { return nil })
		}, says: "the send hooks of mine made 0 messages", send: true},
		"dropped": {make: func(call *hauberk.Call) {
			call.OnReceive(func(any) (bool, error) { return false, nil })
		}, says: "a receive hook of mine dropped", recv: true},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				server := c.Side == hauberk.ServerSide
				sends, receives := c.Kind.ClientStreams(), c.Kind.ServerStreams()
				if server {
					sends, receives = receives, sends
				}
				if m.send && sends || m.recv && receives || name == "BeforeHeader(nil)" && !server {
					t.Skip("not a mistake here")
				}
				wrong := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					m.make(call)
					return next(ctx, call)
				})
				wantInternal(t, c.Start(t, hauberk.Named("mine", wrong)).Call(patient(t)).Err, m.says)
			})
		})
	}
}
