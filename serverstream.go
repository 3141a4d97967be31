package hauberk

import (
	"context"
	"reflect"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// serverStream is a call of a streaming method on a server, and the stream that
// its handler gets.
type serverStream struct {
	call    Call
	wire    grpc.ServerStream
	srv     any
	handler grpc.StreamHandler
	request reflect.Type
	ctx     context.Context // the handler's: what the stream's Context must return

	mu      sync.Mutex
	failure error // of a hook: ends the call whatever the handler returns
}

// layer is a stream of a grpc-go interceptor that takes part as a link. The hooks
// after its marks stand further in.
type layer struct {
	stream        grpc.ServerStream
	send, receive int
}

func (c *Chain) serveStream(r *route, srv any, wire grpc.ServerStream, handler grpc.StreamHandler, request reflect.Type) error {
	s := &serverStream{wire: wire, srv: srv, handler: handler, request: request}
	s.call.init(wire.Context(), r, ServerSide, s)
	return s.serve()
}

// serve runs the chain and then sends what is held.
func (s *serverStream) serve() error {
	call := &s.call
	err := call.plan.serve(call)
	if err == nil {
		err = s.sendHeld()
	}
	return call.plan.toWire(err)
}

func (s *serverStream) sendHeld() error {
	if !s.call.method.kind.ServerStreams() {
		if err := s.call.needResponse(); err != nil {
			return err
		}
		return s.wire.SendMsg(s.call.response)
	}
	for _, msg := range s.call.takeReplies() {
		if err := s.sendWire(msg); err != nil {
			return err
		}
	}
	return nil
}

// finish runs the handler.
func (s *serverStream) finish(ctx context.Context, _ *Call) error {
	s.ctx = ctx
	err := s.handler(s.srv, s)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return s.failure
	}
	return err
}

// Context returns the context that was given to the innermost next.
func (s *serverStream) Context() context.Context { return s.ctx }

func (s *serverStream) SetHeader(md metadata.MD) error  { return s.wire.SetHeader(md) }
func (s *serverStream) SendHeader(md metadata.MD) error { return s.wire.SendHeader(md) }
func (s *serverStream) SetTrailer(md metadata.MD)       { s.wire.SetTrailer(md) }

// SendMsg sends a message of the handler. The one response of a method without
// server streaming is held until the chain has returned.
func (s *serverStream) SendMsg(msg any) error {
	if s.call.method.kind.ServerStreams() {
		return s.send(s.inside(), msg)
	}
	if s.call.response != nil {
		return errInternal("the handler of %s sent a second response", s.call.method.full)
	}
	return s.call.hold(msg, nil)
}

// RecvMsg receives a message for the handler.
func (s *serverStream) RecvMsg(msg any) error { return s.receive(s.inside(), msg) }

// place is a place among the links: inside of layers, and of the hooks before to.
type place struct {
	layers []layer
	to     layer
}

// inside returns the place inside all links, where the handler stands.
func (s *serverStream) inside() place {
	more := s.call.more.Load()
	if more == nil {
		return place{}
	}
	return place{more.layers, layer{send: len(more.send), receive: len(more.receive)}}
}

// outer returns the innermost layer at a place; one without a stream is the wire.
func (p place) outer() layer {
	if n := len(p.layers); n > 0 {
		return p.layers[n-1]
	}
	return layer{}
}

// send passes a message through the hooks between a place and the next layer
// out, and through that.
func (s *serverStream) send(from place, msg any) error {
	if err := s.failed(); err != nil {
		return err
	}
	out := from.outer()
	sink := s.sendWire
	if out.stream != nil {
		sink = out.stream.SendMsg
	}
	if out.send == from.to.send {
		return sink(msg)
	}
	return s.pass(s.call.more.Load().send[out.send:from.to.send], msg, sink)
}

// pass sends msg through hooks, and keeps a hook's error.
func (s *serverStream) pass(hooks []sendHook, msg any, sink func(any) error) error {
	var sinkErr error
	err := pass(hooks, false, msg, func(m any) error {
		sinkErr = sink(m)
		return sinkErr
	})
	if err != nil && err != sinkErr {
		s.fail(err)
	}
	return err
}

func (s *serverStream) sendWire(msg any) error {
	err := s.wire.SendMsg(msg)
	if err == nil {
		s.call.sent.Add(1)
	}
	return err
}

// receive gets a message from the next layer out of a place, or the wire, that
// all hooks between keep.
func (s *serverStream) receive(at place, msg any) error {
	out := at.outer()
	source := s.receiveWire
	if out.stream != nil {
		source = out.stream.RecvMsg
	}
	for {
		if err := s.failed(); err != nil {
			return err
		}
		if err := source(msg); err != nil {
			return err
		}
		keep, err := s.accept(out.receive, at.to.receive, msg)
		if err != nil {
			s.fail(err)
			return err
		}
		if keep {
			return nil
		}
	}
}

// accept shows a received message to some of the hooks. Those that saw the single
// request when it was read ahead do not see it again.
func (s *serverStream) accept(from, to int, msg any) (keep bool, err error) {
	if from == to {
		return true, nil
	}
	more := s.call.more.Load()
	if s.call.method.kind.ClientStreams() {
		return accept(more.receive[from:to], true, msg)
	}
	keep, err = accept(more.receive[min(max(from, more.read), to):to], true, msg)
	if err == nil && !keep {
		err = errInternal("a receive hook dropped the single request")
	}
	return keep, err
}

func (s *serverStream) receiveWire(msg any) error {
	if request := s.call.request; request != nil {
		s.call.request = nil
		return assign(msg, request)
	}
	err := s.wire.RecvMsg(msg)
	if err == nil {
		s.call.received.Add(1)
	}
	return err
}

// read reads the single request before the handler does.
func (s *serverStream) read(_ context.Context, call *Call) (any, error) {
	if call.request == nil {
		msg, err := newRequest(call.method, s.request)
		if err != nil {
			return nil, err
		}
		if err := s.wire.RecvMsg(msg); err != nil {
			return nil, err
		}
		call.request = msg
		call.received.Add(1)
	}
	return call.request, call.acceptRequest(call.request)
}

func (s *serverStream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure == nil {
		s.failure = err
	}
}

func (s *serverStream) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}
