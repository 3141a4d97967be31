package hauberk

import (
	"context"
	"reflect"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/internal/running"
)

// serverStream is a call of a streaming method on a server, and the stream that
// its handler gets.
type serverStream struct {
	call    Call
	method  *Method // of the call; the goroutine of the chain writes call.method
	wire    grpc.ServerStream
	srv     any
	handler grpc.StreamHandler
	request reflect.Type
	ctx     context.Context // the handler's: what the stream's Context must return
	inmost  *leg            // around the handler
	depth   int32           // of the handler
	ahead   any             // the request that Read or ReadFirst received, until the handler receives it
	aheadAt *leg            // where ahead was received, with readErr or without
	readErr error
	early   running.End // by the shutdown of the server

	awaited      bool                  // ReadFirst has received a message, and the handler has not
	sentResponse bool                  // the one response was sent at once
	returned     atomic.Bool           // the handler has returned
	receiving    atomic.Int32          // goroutines in wire.RecvMsg, if the call counts messages
	failure      atomic.Pointer[error] // the first panic of what the stream called, as the guard made it

	mu      sync.Mutex // guards what follows; not held while a goroutine sends
	idle    sync.Cond
	sending bool     // a goroutine is in wire.SendMsg, maybe one that the handler left behind
	own     response // of the handler
	surplus []any    // further responses of a method that has one
}

// response is the one response of a method without server streaming, as a handler or an
// interceptor of grpc-go sends it, on any goroutine. The goroutine of the chain takes it when
// the handler or the interceptor has returned. The mutex of the stream guards it.
type response struct {
	msg  any  // nil before
	sent bool // it was sent at once
	over bool // no more is taken
}

func serveStream(
	r *route, srv any, wire grpc.ServerStream, handler grpc.StreamHandler, request reflect.Type,
) error {
	s := &serverStream{method: r.method, wire: wire, srv: srv, handler: handler, request: request}
	s.idle.L = &s.mu
	s.call.init(wire.Context(), r, ServerSide, s)
	return s.serve()
}

// serve runs the chain and then sends what is held.
func (s *serverStream) serve() error {
	s.track()
	defer s.untrack()
	call := &s.call
	return call.plan.toClient(call, call.plan.serve(call, s.sendHeld))
}

func (s *serverStream) sendHeld() error {
	if err := s.panicked(); err != nil {
		return err
	}
	var msgs []any
	switch {
	case s.call.kind.ServerStreams():
		msgs = s.call.takeReplies()
	case !s.sentResponse:
		msgs = append([]any{s.call.response}, s.takeSurplus()...)
	}
	for _, msg := range msgs {
		if err := s.sendWire(msg); err != nil {
			return err
		}
	}
	return nil
}

// finish runs the handler. It does not wait for goroutines that the handler left
// behind.
func (s *serverStream) finish(ctx context.Context, call *Call) error {
	s.ctx, s.inmost, s.depth = ctx, call.leg, call.nexts.depth()
	defer s.handlerReturned()
	defer s.early.Settle() // if the handler panics
	err := s.handler(s.srv, s)
	s.early.Settle() // from here on the outcome is that of the handler
	if failure := s.inmost.broken(); failure != nil {
		return failure
	}
	if failure := s.panicked(); failure != nil {
		return failure
	}
	if ended := s.early.Err(); ended != nil {
		err = ended // the handler may ignore that its context has ended
	}
	if err != nil {
		call.endRetries(err)
	}
	return err
}

// handlerReturned ends the handler. If an outer interceptor has returned before, the goroutine
// of the handler is not that of the chain any more.
func (s *serverStream) handlerReturned() {
	if left := s.returned.Swap(true); !left {
		s.takeResponse(&s.own, true)
	}
}

// takeResponse makes what was sent the response of the call. over is whether its sender has
// returned.
func (s *serverStream) takeResponse(from *response, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	msg := from.msg
	switch {
	case msg == nil:
	case s.call.response == nil:
		s.call.response, s.sentResponse = msg, from.sent
	default: // an interceptor of grpc-go has sent one before it called the handler
		s.surplus = append(s.surplus, msg)
	}
	*from = response{over: over}
}

func (s *serverStream) takeSurplus() []any {
	s.mu.Lock()
	defer s.mu.Unlock()
	msgs := s.surplus
	s.surplus = nil
	return msgs
}

// guarded runs an operation of the stream under the chain's guard. The operation may run
// on a goroutine of the handler, or of an interceptor of grpc-go, where no step of the
// chain recovers a panic of a codec, a stats handler or an outer stream. Such a panic ends
// the call, even if the caller ignores the error of the operation.
func (s *serverStream) guarded(operation func() error) (err error) {
	if s.call.plan.guard == nil {
		return operation()
	}
	returned := false
	defer s.caught(&returned, &err)
	err = operation()
	returned = true
	return err
}

// caught is deferred by guarded. As catch does, it leaves it to the chain to show the end
// of the goroutine to the Guard.
func (s *serverStream) caught(returned *bool, err *error) {
	if *returned {
		return
	}
	failure := errGoexit()
	if v := recover(); v != nil {
		failure = s.call.plan.recovered(&s.call.ctx, &s.call, v)
	}
	*err = failure
	s.failure.CompareAndSwap(nil, &failure)
}

// panicked returns the error of the first operation that panicked.
func (s *serverStream) panicked() error {
	if failure := s.failure.Load(); failure != nil {
		return *failure
	}
	return nil
}

func errReturned() error {
	return status.Error(codes.Canceled, "hauberk: the handler of the stream has returned")
}

// Context returns the context that was given to the innermost next.
func (s *serverStream) Context() context.Context { return s.current(s.ctx) }

func (s *serverStream) SetHeader(md metadata.MD) error {
	return s.guarded(func() error { return s.wire.SetHeader(md) })
}

// SendHeader sends the header. Once the handler has returned it does not: what
// BeforeHeader registered must not run after its interceptor has returned.
func (s *serverStream) SendHeader(md metadata.MD) error {
	if s.returned.Load() {
		return errReturned()
	}
	return s.sendHeader(md)
}

func (s *serverStream) sendHeader(md metadata.MD) error {
	return s.guarded(func() error {
		s.call.headerDue()
		return s.wire.SendHeader(md)
	})
}

func (s *serverStream) SetTrailer(md metadata.MD) {
	_ = s.guarded(func() error { // which keeps the error
		s.wire.SetTrailer(md)
		return nil
	})
}

// read receives the single request, or the first one of a stream, before the handler does,
// at the place of the interceptor that asks for it. An inner one asks only for what is
// between them.
func (s *serverStream) read(_ context.Context, call *Call) (any, error) {
	begun := s.ctx != nil
	if err := call.leg.broken(); err != nil {
		return nil, err
	}
	if s.readErr != nil || call.request != nil && (begun || s.aheadAt == call.leg) {
		return call.request, s.readErr
	}
	if s.ahead != nil && s.aheadAt == call.leg && !begun {
		return s.ahead, nil // the first of a stream
	}
	msg, err := call.newRequest(s.request, s.srv, begun)
	if err != nil {
		return nil, err
	}
	err = call.asHook(func() error { return s.receive(call.leg, msg) })
	if err == nil {
		err = loadMessage(msg)
	}
	if err != nil {
		msg = nil
	}
	s.ahead, s.readErr, s.aheadAt = msg, err, call.leg
	if !call.kind.ClientStreams() {
		call.request = msg
	} else if err == nil {
		s.awaited = true
	}
	return msg, err
}
