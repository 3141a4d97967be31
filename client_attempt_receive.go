package hauberk

import (
	"context"
	"io"
	"math"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hauberk-rpc/hauberk/internal/streamend"
)

// header returns the header of the transport's stream under the guard.
func (a *attempt) header() (md metadata.MD, err error) {
	err = a.call.guardedForeign(func() (err error) {
		md, err = a.wire.Header()
		return err
	})
	return md, err
}

// commitOnHeader commits the call when the response header of the attempt arrives. It
// runs on a separate goroutine: the application may neither receive nor ask for the header.
func (a *attempt) commitOnHeader() {
	returned := false
	defer a.caught(&returned)
	if a.awaitExists() {
		if header, _ := a.header(); header != nil {
			a.stream.commit(a)
		}
	}
	returned = true
}

// awaitExists waits until the transport's stream may be asked, or the attempt has ended:
// see canAsk.
func (a *attempt) awaitExists() bool {
	s := a.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	for !a.exists && !a.ended {
		s.cond.Wait()
	}
	return a.exists
}

// noteExists notes that the transport has taken or delivered a message. The lock is held.
func (a *attempt) noteExists() {
	if !a.exists && a.commits {
		a.stream.cond.Broadcast()
	}
	a.exists = true
}

// receive receives one message of the transport for the application, which owns
// the receiving until then. delivered is false if there is none, or it was dropped.
func (a *attempt) receive(msg any) (delivered bool) {
	defer a.stream.stopReceiving(a, &delivered)
	return a.accept(msg, a.receiveWire(msg), false)
}

// accept takes a message that was received with err and shows it to the hooks. keep is
// false if there is none for the application. If it was received in the application's
// place, an adapter may have opened another stream meanwhile: an error is that of the
// earlier one.
func (a *attempt) accept(msg any, err error, inPlace bool) (keep bool) {
	s := a.stream
	if err != nil {
		if !inPlace || !a.adapted || a.goesOnIn() == nil {
			a.ends(err)
		}
		return false
	}
	if !s.desc.ServerStreams {
		a.answered(msg)
		return false
	}
	if !a.countReceived() {
		return false
	}
	for _, l := range slices.Backward(a.path) {
		if len(l.receive) > 0 && !a.keeps(l, msg) {
			return false
		}
	}
	return true
}

// countReceived counts a message, unless the attempt has ended meanwhile by an error
// in this process, or is discarded: the counts may be those of another.
func (a *attempt) countReceived() bool {
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	a.noteExists()
	if a.undeliverable() {
		return false
	}
	a.call.countReceived()
	return true
}

// undeliverable reports whether a message that was received must not be delivered: the attempt has
// ended, or is discarded. An attempt that lacks a message does not end with OK. The lock is held.
func (a *attempt) undeliverable() bool {
	a.incomplete = a.incomplete || a.discarded
	return a.ended || a.discarded
}

// keeps shows a message to the receive hooks of a leg. The leg has the error of a hook, unless a replay has ended
// with its context: an attempt that lacks the message of a hook which waited must not end with OK.
func (a *attempt) keeps(l *leg, msg any) (keep bool) {
	err := a.inHooks(l, func() (own bool, err error) {
		keep, err = l.runReceive(l.during(), false, msg)
		return true, err
	})
	if err == io.EOF && a.ctx.Err() != nil {
		a.finished(a.unknownEnd()) // if it has not ended
	}
	return keep
}

// receiveWire receives from the transport under the chain's guard, or takes what
// was received before.
func (a *attempt) receiveWire(msg any) error {
	if head := a.head; head != nil {
		a.head = nil
		return assign(msg, head)
	}
	return a.call.guardedForeign(func() error { return a.receiveFromWire(msg) })
}

// receiveFromWire receives from the transport's stream. An end without a message is not believed at
// once: grpc-go may report one that was not good, and a method with one response has no good end
// without it.
func (a *attempt) receiveFromWire(msg any) error {
	err := usable(a.wire.RecvMsg(msg), grpcInterceptor) // before isEOF searches it
	if err != nil && isEOF(err) && a.call.received.Load() == 0 {
		return a.checkEnd(msg, err)
	}
	return err
}

//go:noinline // its variables would be on the stack of the application while it receives
func (a *attempt) checkEnd(msg any, err error) error {
	if a.stream.desc.ClientStreams {
		err = streamend.Check(a.wire, msg, err)
	}
	if err == io.EOF && !a.stream.desc.ServerStreams {
		return errInternal("the stream of %s has ended without a response and without a status", a.target.full)
	}
	return err
}

// receiveInPlace receives a message in the application's place and shows it to the hooks.
// keep is false if there is none for the application.
func (a *attempt) receiveInPlace(msg any, guessed bool) (keep bool) {
	if !guessed {
		return a.accept(msg, a.receiveWire(msg), true)
	}
	known := a.unknownEnd() // grpc-go reports a failure to decode as the end
	err, undecoded := a.receiveGuessed(msg)
	if undecoded {
		a.endUndecoded(known)
		return false
	}
	return a.accept(msg, err, true)
}

// receiveGuessed is receiveWire for a message whose type is only that of the method's
// descriptor: a codec of the connection's default options may be for messages of another
// type, so that it fails or panics. undecoded is whether it did.
//
//nolint:revive // the error is an outcome of the stream, not a failure of receiveGuessed
func (a *attempt) receiveGuessed(msg any) (err error, undecoded bool) {
	returned := false
	defer func() {
		if !returned {
			undecoded = recover() != nil
		}
	}()
	err = a.receiveFromWire(msg)
	returned = true
	return err, isDecodingError(err)
}

// isDecodingError reports whether err has the status that grpc-go gives a message which
// its codec cannot decode.
func isDecodingError(err error) bool {
	return CodeOf(err) == codes.Internal && strings.HasPrefix(StatusOf(err).Message(), "grpc: failed to unmarshal")
}

// endUndecoded ends an attempt with a message that could not be received in the
// application's place: with err, which was known before, or else INTERNAL.
func (a *attempt) endUndecoded(err error) {
	if err == nil {
		err = errInternal("a response of %s was received before the application has, but its type is not known",
			a.target.full)
	}
	a.finished(err)
}

// receiveRest receives in the application's place what is left of its attempt, whose
// transport has ended, and reports whether the attempt has ended.
func (s *clientStream) receiveRest(a *attempt) bool {
	ended, _ := s.receiveLeft(a)
	return ended
}

// receiveLeft is receiveRest that also returns the context of the stream that goes on, if
// an interceptor of grpc-go has replaced the one that ended: the application receives from
// that. A transport that has ended does not block. It waits until the application's
// goroutine has left the transport: an opening and a RecvMsg end with their context.
func (s *clientStream) receiveLeft(a *attempt) (ended bool, live context.Context) {
	s.mu.Lock()
	for a.opening || s.receiving && s.current == a && !a.ended {
		s.cond.Wait()
	}
	if a.ended || s.current != a {
		defer s.mu.Unlock()
		return a.ended, nil
	}
	s.receiving = true
	s.mu.Unlock()
	none := false // it delivers nothing
	defer s.stopReceiving(a, &none)
	if !a.canAsk() {
		return false, nil
	}
	for range maxArrived {
		if live := a.goesOnIn(); live != nil {
			return false, live
		}
		msg, guessed := a.newResponse()
		if msg == nil {
			return false, nil
		}
		if a.receiveInPlace(msg, guessed && a.head == nil) {
			s.arrive(a, msg)
		} else if a.hasEnded() {
			return true, nil
		}
	}
	return false, nil
}

// newResponse returns a message to receive into: of the type that the application
// received before, or else (guessed) the method's, unless its options choose a codec.
// If neither is known, and no header has come, there is no message either, and any type
// serves to receive the status. An adapter may open another stream, which has one.
func (a *attempt) newResponse() (msg any, guessed bool) {
	s := a.stream
	s.mu.Lock()
	t := s.demand.message
	s.mu.Unlock()
	if t != (messageType{}) {
		msg, _ := t.make()
		return msg, false
	}
	if d := s.method.Descriptor(); d != nil && !setsCodec(a.opts) {
		if msg := newMessage(d.Output()); msg != nil {
			return msg, true
		}
	}
	if a.adapted {
		return nil, false
	}
	if header, _ := a.header(); header == nil {
		return new(emptypb.Empty), false
	}
	return nil, false
}

// setsCodec reports whether options of a call choose the codec: its messages may be of
// another type than the method's.
func setsCodec(opts []grpc.CallOption) bool {
	return slices.ContainsFunc(opts, func(o grpc.CallOption) bool {
		switch o.(type) {
		case grpc.ForceCodecCallOption, grpc.ForceCodecV2CallOption,
			grpc.CustomCodecCallOption, grpc.ContentSubtypeCallOption:
			return true
		default:
			return false
		}
	})
}

// arrive keeps a message for the application.
func (s *clientStream) arrive(a *attempt, msg any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.undeliverable() {
		s.lost = math.MaxInt32
		return
	}
	s.arrived, s.lost = append(s.arrived, msg), 0
	s.commitLocked(a)
	s.cond.Broadcast()
}

// stopReceiving lets another goroutine receive. A message that is delivered to the
// application commits the call, unless the attempt ended meanwhile by an error in this
// process, or is discarded: the application may get the outcome of another.
func (s *clientStream) stopReceiving(a *attempt, delivered *bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case *delivered && a.undeliverable():
		*delivered, s.lost = false, math.MaxInt32
	case *delivered:
		s.lost = 0
		s.commitLocked(a)
	}
	s.receiving = false
	s.cond.Broadcast()
}
