package hauberktest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// Context returns a context for unit tests of handlers. It is the context that a handler
// receives behind a server chain, so the test calls the handler as an ordinary function:
//
//	ctx := hauberktest.Context(t, hauberktest.State(authn.User, "alice"))
//	resp, err := cart.Add(ctx, &shoppb.AddRequest{Item: "helmet"})
//
// The context belongs to an incoming call, so everything that a handler does with its context
// works: reading and setting state, hauberk.FromContext, requestid.FromContext,
// logging.AddFields, grpc.SetHeader. It is derived from t.Context. By default the call is a
// unary call of the test service without metadata and state, and its peer is 192.0.2.1:1234.
//
// The call runs until the test ends. Then it ends with OK. Context fails the test if an option
// is wrong, or if an interceptor of [Behind] ends the call before the handler.
//
// For a streaming handler, use the context in a [ServerStream]. To test interceptors, use
// [Matrix].
func Context(t testing.TB, opts ...ContextOption) context.Context {
	t.Helper()
	s := contextSetup{
		t: t, method: testpb.TestService_Unary_FullMethodName, md: metadata.MD{}, transport: new(TransportStream),
		peer: &peer.Peer{Addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:1234"))},
	}
	for i, opt := range opts {
		if opt == nil {
			t.Fatalf("hauberktest: option %d of Context is nil", i+1)
		}
		opt(&s)
	}
	chain, err := hauberk.New(append(s.interceptors, hauberk.Func(s.setState))...)
	if err != nil {
		t.Fatalf("hauberktest: %v", err)
	}
	return s.start(chain)
}

// ContextOption is an option of [Context].
type ContextOption func(*contextSetup)

// State sets a value in the call's state, as an interceptor does with key.Set. It takes
// precedence over the values that interceptors of [Behind] set.
func State[T any](key hauberk.Key[T], value T) ContextOption {
	return func(s *contextSetup) {
		s.state = append(s.state, func(call *hauberk.Call) { key.Set(call, value) })
	}
}

// Metadata adds incoming metadata: alternating keys and values, as for metadata.Pairs.
func Metadata(pairs ...string) ContextOption {
	return func(s *contextSetup) {
		s.t.Helper()
		if len(pairs)%2 != 0 {
			s.t.Fatalf("hauberktest: Metadata has %d arguments; want pairs of keys and values", len(pairs))
		}
		s.md = metadata.Join(s.md, metadata.Pairs(pairs...))
	}
}

// Method sets the full name of the method, such as "/shop.v1.Cart/Get". If the program contains
// the generated code of the method, the call has the method's kind. Otherwise it is unary.
func Method(fullName string) ContextOption {
	return func(s *contextSetup) {
		s.t.Helper()
		service, name, ok := strings.Cut(strings.TrimPrefix(fullName, "/"), "/")
		if !strings.HasPrefix(fullName, "/") || !ok || service == "" || name == "" {
			s.t.Fatalf("hauberktest: Method is %q; want \"/package.Service/Method\"", fullName)
		}
		s.method = fullName
	}
}

// Peer sets the peer, for handlers that read its address or its certificates. nil is a call
// without a peer.
func Peer(p *peer.Peer) ContextOption {
	return func(s *contextSetup) { s.peer = p }
}

// Transport sets the transport stream of the call. The test reads from it the header and the
// trailer that the handler has set. nil is the default: they are dropped.
func Transport(stream *TransportStream) ContextOption {
	return func(s *contextSetup) {
		if stream != nil {
			s.transport = stream
		}
	}
}

// Behind runs interceptors before the handler, the outermost first, so that the handler finds
// the state that they set. They receive an empty request of the test service. Code after their
// call of next runs when the test ends.
func Behind(interceptors ...hauberk.Interceptor) ContextOption {
	return func(s *contextSetup) { s.interceptors = append(s.interceptors, interceptors...) }
}

type contextSetup struct {
	t            testing.TB
	method       string
	md           metadata.MD
	peer         *peer.Peer
	transport    *TransportStream
	interceptors []hauberk.Interceptor
	state        []func(call *hauberk.Call)
}

// setState is the innermost interceptor.
func (s *contextSetup) setState(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	for _, set := range s.state {
		set(call)
	}
	return next(ctx, call)
}

// start runs the chain on another goroutine until the test ends and returns the context that
// the handler receives.
func (s *contextSetup) start(chain *hauberk.Chain) context.Context {
	s.t.Helper()
	handler, testEnd, ended := make(chan context.Context, 1), make(chan struct{}), make(chan error, 1)
	serve := s.serve(chain, func(ctx context.Context) {
		handler <- ctx
		<-testEnd
	})
	go func() {
		err := errGoexit
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("%w: %v\n%s", errPanic, r, debug.Stack())
			}
			ended <- err
		}()
		err = serve(s.incoming())
	}()
	select {
	case ctx := <-handler:
		s.t.Cleanup(func() {
			close(testEnd)
			if err := <-ended; errors.Is(err, errPanic) || errors.Is(err, errGoexit) {
				s.t.Errorf("hauberktest: after the handler: %v", err)
			}
		})
		return ctx
	case err := <-ended:
		s.t.Fatalf("hauberktest: the call did not reach the handler: %v", err)
		return nil
	}
}

var (
	errPanic  = errors.New("an interceptor panicked")
	errGoexit = errors.New("an interceptor ended its goroutine by runtime.Goexit, as t.FailNow does")
)

// incoming returns the context of the call outside the chain.
func (s *contextSetup) incoming() context.Context {
	ctx := metadata.NewIncomingContext(s.t.Context(), s.md)
	if s.peer != nil {
		ctx = peer.NewContext(ctx, s.peer)
	}
	return grpc.NewContextWithServerTransportStream(ctx, methodStream{s.transport, s.method})
}

// serve returns a function that runs a call of the method with a handler.
func (s *contextSetup) serve(chain *hauberk.Chain, handle func(context.Context)) func(context.Context) error {
	kind := kindOf(s.method)
	if kind == hauberk.Unary {
		info, intercept := &grpc.UnaryServerInfo{FullMethod: s.method}, chain.UnaryServerInterceptor()
		return func(ctx context.Context) error {
			_, err := intercept(ctx, new(testpb.Request), info, func(ctx context.Context, _ any) (any, error) {
				handle(ctx)
				return new(testpb.Response), nil
			})
			return err
		}
	}
	intercept := chain.StreamServerInterceptor()
	info := &grpc.StreamServerInfo{
		FullMethod: s.method, IsClientStream: kind.ClientStreams(), IsServerStream: kind.ServerStreams(),
	}
	return func(ctx context.Context) error {
		stream := &ServerStream{Ctx: ctx, Requests: 1}
		return intercept(struct{}{}, stream, info, func(_ any, stream grpc.ServerStream) error {
			// A single response is held until the chain has returned. t.Context is done by then,
			// and no message is taken after that.
			if !kind.ServerStreams() {
				err := stream.SendMsg(new(testpb.Response))
				handle(stream.Context())
				return err
			}
			handle(stream.Context())
			return stream.SendMsg(new(testpb.Response))
		})
	}
}

// kindOf returns the kind of a method in the descriptors of the program, or Unary.
func kindOf(method string) hauberk.Kind {
	name := strings.ReplaceAll(strings.TrimPrefix(method, "/"), "/", ".")
	d, _ := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if m, ok := d.(protoreflect.MethodDescriptor); ok {
		return hauberk.KindOf(m.IsStreamingClient(), m.IsStreamingServer())
	}
	return hauberk.Unary
}

// methodStream is a TransportStream with the name of a method.
type methodStream struct {
	*TransportStream

	method string
}

func (s methodStream) Method() string { return s.method }
