package hauberk_test

import (
	"context"
	"errors"
	"io"
	"path"
	"runtime"
	"strings"
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

// recoverer is the smallest interceptor that turns panics into errors. It reports what it
// recovered, if a caller wants to know.
type recoverer struct{ seen chan<- any }

func (recoverer) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return next(ctx, call)
}

func (r recoverer) Recovered(ctx context.Context, call *hauberk.Call, value any, stack []byte) error {
	if hauberk.FromContext(ctx) == nil || call == nil || !strings.Contains(string(stack), "panic_test.go") {
		value = errors.New("recovered without the context, the call or the stack")
	}
	if r.seen != nil {
		r.seen <- value
	}
	return status.Error(codes.Internal, "recovered")
}

// explosive is an interceptor that does something at one of the places where code of an
// interceptor runs.
type explosive struct {
	place string
	do    func()
}

func (x explosive) at(place string) {
	if x.place == place {
		x.do()
	}
}

func (x explosive) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	x.at("before next")
	call.OnSend(func(msg any, emit func(any) error) error {
		x.at("send hook")
		return emit(msg)
	})
	call.OnReceive(func(any) (bool, error) {
		x.at("receive hook")
		return true, nil
	})
	err := next(ctx, call)
	x.at("after next")
	return err
}

// handle is a backend's handler that may explode too.
func (x explosive) handle(ctx context.Context, s hauberktest.Stream) error {
	x.at("handler")
	return hauberktest.Echo(ctx, s)
}

var interceptorPlaces = []string{"before next", "send hook", "receive hook", "after next"}

func placesOf(side hauberk.Side) []string {
	if side == hauberk.ServerSide {
		return append([]string{"handler"}, interceptorPlaces...)
	}
	return interceptorPlaces
}

// memoryStream is the transport of a streaming call: one request and then the end.
type memoryStream struct {
	grpc.ServerStream

	ctx  context.Context
	read bool
	hold func() // called before the request is given, if it is not nil
}

func (m *memoryStream) Context() context.Context { return m.ctx }
func (*memoryStream) SendMsg(any) error          { return nil }
func (m *memoryStream) RecvMsg(msg any) error {
	if m.read {
		return io.EOF
	}
	m.read = true
	if m.hold != nil {
		m.hold()
	}
	proto.Merge(msg.(proto.Message), &testpb.Request{Text: "hello"})
	return nil
}

// direct runs the handler that a chain registers for a method, on this goroutine.
func direct(chain *hauberk.Chain, kind hauberk.Kind, backend *hauberktest.Backend, hold func()) error {
	var r registry
	testpb.RegisterTestServiceServer(chain.Registrar(&r), backend)
	wire := &memoryStream{ctx: context.Background(), hold: hold}
	if kind == hauberk.Unary {
		_, err := r.desc.Methods[0].Handler(r.impl, wire.ctx, wire.RecvMsg, nil)
		return err
	}
	for _, s := range r.desc.Streams {
		if s.StreamName == path.Base(hauberktest.FullMethod(kind)) {
			return s.Handler(r.impl, wire)
		}
	}
	return errors.New("no such method")
}

// recovering runs f and returns what it panics with.
func recovering(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

// TestPanicOnAServerPasses has no guard: the panic reaches grpc-go as it was.
func TestPanicOnAServerPasses(t *testing.T) {
	for _, place := range placesOf(hauberk.ServerSide) {
		t.Run(place, func(t *testing.T) {
			perKind(t, func(t *testing.T, c hauberktest.Case) {
				bomb := errors.New("bomb")
				x := explosive{place, func() { panic(bomb) }}
				var j journal
				chain := hauberk.Must(hauberk.New(j.tag("outer"), x, hauberk.Func(idle)))
				value := recovering(func() { _ = direct(chain, c.Kind, &hauberktest.Backend{Handle: x.handle}, nil) })
				if value != any(bomb) {
					t.Errorf("panic with %v, want the value itself", value)
				}
				equal(t, "journal", j.all(), []string{"outer in"})
			})
		})
	}
}

// TestPanicOnAClientPasses has no guard: the panic reaches the application, in the
// call that was waiting for the chain, also from the chain's own goroutine.
func TestPanicOnAClientPasses(t *testing.T) {
	where := map[string]map[hauberk.Kind]string{
		"before next":  {hauberk.Unary: "Invoke", hauberk.ClientStream: "NewStream", hauberk.ServerStream: "NewStream", hauberk.Bidi: "NewStream"},
		"send hook":    {hauberk.Unary: "Invoke", hauberk.ClientStream: "SendMsg", hauberk.ServerStream: "SendMsg", hauberk.Bidi: "SendMsg"},
		"receive hook": {hauberk.Unary: "Invoke", hauberk.ClientStream: "RecvMsg", hauberk.ServerStream: "RecvMsg", hauberk.Bidi: "RecvMsg"},
		"after next":   {hauberk.Unary: "Invoke", hauberk.ClientStream: "RecvMsg", hauberk.ServerStream: "RecvMsg", hauberk.Bidi: "RecvMsg"},
	}
	for _, place := range interceptorPlaces {
		for _, kind := range allKinds {
			t.Run(place+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				bomb := errors.New("bomb")
				x := explosive{place, func() { panic(bomb) }}
				env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.Start(t, hauberk.Func(idle), x, hauberk.Func(idle))
				ctx, cancel := context.WithCancel(patient(t))
				defer cancel()
				doing := ""
				value := recovering(func() { callStepwise(ctx, env, kind, &doing) })
				if value != any(bomb) {
					t.Errorf("panic with %v, want the value itself", value)
				}
				if want := where[place][kind]; doing != want {
					t.Errorf("panic in %s, want %s", doing, want)
				}
			})
		}
	}
}

// callStepwise makes a call and says all the time what it is doing.
func callStepwise(ctx context.Context, env *hauberktest.Env, kind hauberk.Kind, doing *string) {
	if kind == hauberk.Unary {
		*doing = "Invoke"
		_ = env.Conn.Invoke(ctx, hauberktest.FullMethod(kind), &testpb.Request{}, new(testpb.Response))
		return
	}
	*doing = "NewStream"
	stream, err := env.Conn.NewStream(ctx, descOf(kind), hauberktest.FullMethod(kind))
	if err != nil {
		return
	}
	*doing = "SendMsg"
	_ = stream.SendMsg(&testpb.Request{})
	*doing = "CloseSend"
	_ = stream.CloseSend()
	*doing = "RecvMsg"
	_ = drain(stream)
}

// TestGuard has a guard outside or inside the interceptor that panics: the panic is an
// error from there on, and the code after next of the outer interceptors runs.
func TestGuard(t *testing.T) {
	for _, guardIs := range []string{"outermost", "innermost"} {
		for _, place := range placesOf(hauberk.ServerSide) {
			t.Run(guardIs+"/"+place, func(t *testing.T) {
				hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
					if place == "handler" && c.Side == hauberk.ClientSide {
						return // the other process's
					}
					testGuard(t, c, guardIs, place)
				})
			})
		}
	}
}

func testGuard(t *testing.T, c hauberktest.Case, guardIs, place string) {
	bomb := errors.New("bomb")
	x := explosive{place, func() { panic(bomb) }}
	seen := make(chan any, 4)
	var j journal
	interceptors := []hauberk.Interceptor{recoverer{seen}, j.tag("outer"), x, hauberk.Func(idle)}
	if guardIs == "innermost" {
		interceptors = append(interceptors[1:], interceptors[0])
	}
	env := c.StartWith(t, &hauberktest.Backend{Handle: x.handle}, interceptors...)
	out := env.Call(patient(t))
	wantCode(t, out.Err, codes.Internal)
	if got := status.Convert(out.Err).Message(); got != "recovered" {
		t.Errorf("message %q", got)
	}
	wantCode(t, env.Call(patient(t)).Err, codes.Internal) // the process lives
	env.Server.GracefulStop()
	equal(t, "journal", j.all(), []string{"outer in", "outer out Internal", "outer in", "outer out Internal"})
	for range 2 {
		if value := <-seen; value != any(bomb) {
			t.Errorf("the guard got %v", value)
		}
	}
	if len(seen) != 0 {
		t.Errorf("the guard was called %d times too often", len(seen))
	}
}

// TestGuardOfTheOutermostHook has the hooks of the outermost interceptor panic, which no
// interceptor runs outside.
func TestGuardOfTheOutermostHook(t *testing.T) {
	for _, place := range []string{"send hook", "receive hook"} {
		t.Run(place, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				x := explosive{place, func() { panic("bomb") }}
				out := c.Start(t, x, recoverer{}).Call(patient(t))
				wantCode(t, out.Err, codes.Internal)
			})
		})
	}
}

// TestGuardOfAHandlersGoroutine has a hook panic on a goroutine that the handler
// made, where no one else could recover it.
func TestGuardOfAHandlersGoroutine(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for _, do := range map[string]func(){"panic": func() { panic("bomb") }, "Goexit": runtime.Goexit} {
		for _, place := range []string{"send hook", "receive hook"} {
			backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
				done := make(chan struct{})
				go func() {
					defer close(done)
					_ = hauberktest.Echo(ctx, s)
				}()
				<-done
				return nil
			}}
			env := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Bidi}.StartWith(t, backend, recoverer{}, explosive{place, do})
			wantCode(t, env.Call(patient(t)).Err, codes.Internal)
		}
	}
}

// TestGoexitOnAServer ends the goroutine of a call, as t.FailNow in a handler
// does: the client receives it, without waiting for its deadline.
func TestGoexitOnAServer(t *testing.T) {
	for _, place := range placesOf(hauberk.ServerSide) {
		t.Run(place, func(t *testing.T) {
			perKind(t, func(t *testing.T, c hauberktest.Case) {
				seen := make(chan any, 2)
				x := explosive{place, runtime.Goexit}
				env := c.StartWith(t, &hauberktest.Backend{Handle: x.handle}, hauberk.Func(idle), x, recoverer{seen})
				out := env.Call(patient(t))
				wantCode(t, out.Err, codes.Internal)
				env.Server.GracefulStop()
				if value := <-seen; value != any(hauberk.ErrGoexit) {
					t.Errorf("the guard got %v", value)
				}
				if len(seen) != 0 {
					t.Error("the guard was called twice")
				}
			})
		})
	}
}

// TestGoexitOnAClient ends the goroutine of a client stream's chain.
func TestGoexitOnAClient(t *testing.T) {
	for name, guards := range map[string][]hauberk.Interceptor{"guarded": {recoverer{}}, "not guarded": nil} {
		for _, place := range []string{"before next", "after next"} {
			for _, kind := range streams {
				t.Run(name+"/"+place+"/"+kind.String(), func(t *testing.T) {
					hauberktest.CheckLeaks(t)
					interceptors := append([]hauberk.Interceptor{hauberk.Func(idle), explosive{place, runtime.Goexit}}, guards...)
					out := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.Start(t, interceptors...).Call(patient(t))
					wantCode(t, out.Err, codes.Internal)
				})
			}
		}
	}
}

// TestPanicAfterHeaders panics when the header and a message have gone out.
func TestPanicAfterHeaders(t *testing.T) {
	hauberktest.CheckLeaks(t)
	backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		if err := errors.Join(s.SendHeader(metadata.Pairs("x", "y")), s.Send(response("one"))); err != nil {
			return err
		}
		panic("bomb")
	}}
	out := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Bidi}.StartWith(t, backend, recoverer{}).Call(patient(t))
	wantCode(t, out.Err, codes.Internal)
	equal(t, "responses", out.Texts(), []string{"one"})
	equal(t, "header", out.Header.Get("x"), []string{"y"})
}
