package hauberk

import (
	"runtime/debug"

	"google.golang.org/grpc"
)

// layer is a stream of a grpc-go interceptor that takes part as a link. The hooks
// after its marks stand further in.
type layer struct {
	stream        grpc.ServerStream
	send, receive int
}

// SendMsg sends a message of the handler. The one response of a method without
// server streaming is held until the chain has returned.
func (s *serverStream) SendMsg(msg any) error {
	switch {
	case s.returned.Load():
		return errReturned()
	case s.call.kind.ServerStreams():
		return s.send(s.inmost, msg)
	default:
		return s.hold(msg)
	}
}

func (s *serverStream) hold(msg any) error {
	var err error
	if s.call.response != nil {
		err = errInternal("the handler of %s sent a second response", s.call.method.full)
	}
	if err = s.call.hold(msg, err); err != nil {
		s.call.fail(err)
	}
	return err
}

// RecvMsg receives a message for the handler.
func (s *serverStream) RecvMsg(msg any) error { return s.receive(s.inmost, msg) }

// place is a place among the links: inside of layers, and of hooks, which are as
// many as to says.
type place struct {
	layers  []layer
	send    []sendHook
	receive []ReceiveHook
	to      layer
}

// inside returns the place inside the links that are running.
func (s *serverStream) inside() place {
	more := s.call.more.Load()
	if more == nil {
		return place{}
	}
	return place{more.layers, more.send, more.receive, layer{send: len(more.send), receive: len(more.receive)}}
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
	if err := s.call.failed(); err != nil {
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
	p := &passage{hooks: from.send[out.send:], sink: sink}
	err := s.guarded(func() error { return p.send(0, msg) })
	if err != nil && !p.sunk {
		s.call.fail(err)
	}
	return err
}

// guarded runs hooks on a goroutine of the handler, under the chain's guard.
func (s *serverStream) guarded(hooks func() error) (err error) {
	guard := s.call.plan.guard
	if guard == nil {
		return hooks()
	}
	returned := false
	defer func() {
		if !returned {
			err = s.recovered(guard, recover())
		}
	}()
	err = hooks()
	returned = true
	return err
}

// recovered ends the call with what the guard makes of a panic in a hook. The end
// of the goroutine goes on, and reaches the guard where the handler's own ends.
func (s *serverStream) recovered(guard Guard, v any) error {
	err := errInternal("a hook ended its goroutine by runtime.Goexit")
	if v != nil {
		err = guard.Recovered(&s.call.ctx, &s.call, v, debug.Stack())
	}
	if err == nil {
		err = errInternal("a hook panicked")
	}
	s.call.fail(err)
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
		if err := s.call.failed(); err != nil {
			return err
		}
		if err := source(msg); err != nil {
			return err
		}
		if out.receive == at.to.receive {
			return nil
		}
		keep, err := s.accept(at.receive, out.receive, msg)
		if err != nil || keep {
			return err
		}
	}
}

// accept shows a received message to the hooks from a place on.
func (s *serverStream) accept(hooks []ReceiveHook, from int, msg any) (keep bool, err error) {
	s.hooks.Lock()
	defer s.hooks.Unlock()
	if s.returned.Load() {
		return false, errReturned()
	}
	err = s.guarded(func() error {
		keep, err = s.acceptKind(hooks, from, msg)
		return err
	})
	if err != nil {
		s.call.fail(err)
	}
	return keep, err
}

// acceptKind asks the hooks. Those that saw the single request when it was read
// ahead do not see it again.
func (s *serverStream) acceptKind(hooks []ReceiveHook, from int, msg any) (keep bool, err error) {
	if s.call.kind.ClientStreams() {
		return accept(hooks[from:], true, msg)
	}
	from = max(from, s.call.more.Load().read)
	return true, acceptOne(hooks[min(from, len(hooks)):], msg)
}

func (s *serverStream) receiveWire(msg any) error {
	if s.readErr != nil {
		return s.readErr
	}
	if request := s.ahead; request != nil {
		s.ahead = nil
		return assign(msg, request)
	}
	err := s.wire.RecvMsg(msg)
	if err == nil {
		s.call.received.Add(1)
	}
	return err
}
