package hauberk

import (
	"context"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// onFinish hears from grpc-go, on any of its goroutines, that the stream is over. A
// good end is RecvMsg's to report, with the message, and the goroutine of the chain
// sees the end of the context. Otherwise, as when the ClientConn is closed, the
// application may not be there to see it.
func (a *attempt) onFinish(err error) {
	a.stream.mu.Lock()
	looks := err != nil && !a.ended && a.heard == nil && a.ctx.Err() == nil
	switch {
	case err == nil:
		a.heardOK = true
	case !a.ended && !a.cut: // else that of a stream which could not be opened
		a.heard = err
	}
	cut := a.cutOff()
	a.stream.mu.Unlock()
	switch {
	case cut:
		a.cancel()
	case looks:
		go a.lookForEnd()
	}
}

// cutOff reports whether the attempt has to be cancelled: it is full, and the stream of the
// transport that has rejected a message has ended. An interceptor of grpc-go could open another,
// which would get a part of the messages. The lock is held.
func (a *attempt) cutOff() bool {
	cut := a.full && (a.heard != nil || a.heardOK) && !a.ended && a.ctx.Err() == nil
	a.cut = a.cut || cut
	return cut
}

// breakOff notes that an attempt takes no more messages, since a replay broke off.
func (a *attempt) breakOff() {
	a.stream.mu.Lock()
	a.full = true
	cut := a.cutOff()
	a.stream.mu.Unlock()
	if cut {
		a.cancel()
	}
}

// attemptInside returns the current attempt of the stream that an adapter has opened last, or nil.
func (a *attempt) attemptInside() *attempt {
	a.stream.mu.Lock()
	s := a.nested.stream
	a.stream.mu.Unlock()
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// innerEnded is called when the stream inside an adapter is over, as grpc-go reports
// the attempts that it opens. An earlier one is the adapter's own matter.
func (a *attempt) innerEnded(inner *clientStream, err error) {
	a.stream.mu.Lock()
	last := a.nested.stream == inner
	if last {
		a.nested.over = true
		a.stream.cond.Broadcast()
	}
	a.stream.mu.Unlock()
	if last {
		a.onFinish(err)
	}
}

// lookForEnd receives the end that grpc-go has reported. It may be that of an earlier
// stream, which an interceptor of grpc-go has replaced: then it waits for the end of
// the one that goes on. That of an adapter is reported again.
func (a *attempt) lookForEnd() {
	returned := false
	defer a.caught(&returned)
	a.awaitOpened()
	if a.adapted {
		a.awaitInside()
	}
	ended, live := a.stream.receiveLeft(a)
	for live != nil && !a.adapted {
		select {
		case <-live.Done():
		case <-a.ctx.Done():
		}
		ended, live = a.stream.receiveLeft(a)
	}
	if !ended {
		a.endUnreceived()
	}
	returned = true
}

// endUnreceived ends an attempt of which the end cannot be received: a concurrent one,
// or one whose messages are of a type that is not known. That of an adapter may go on:
// the application's RecvMsg ends it.
func (a *attempt) endUnreceived() {
	if !a.adapted {
		a.finished(a.unknownEnd())
		return
	}
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	a.unreceived = true
	a.stream.cond.Broadcast()
}

// endsInside waits for the end of an adapter's attempt, if a message met the end of the
// stream inside, and reports whether it has ended. It has not if the adapter, or one inside
// of it, opened another stream, or if the application has to receive. Another goroutine
// receives the end: an adapter that opens another stream in RecvMsg waits there for that.
func (a *attempt) endsInside() bool {
	s := a.stream
	s.mu.Lock()
	inside, ended := a.nested, a.ended
	s.mu.Unlock()
	if ended || !inside.takesNone() {
		return ended
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.nested.reopened == inside.reopened && !a.unreceived {
		a.nested.full = true
		s.cond.Broadcast()
		if !s.receiving {
			go a.lookForEnd()
		}
	}
	s.awaitUntilDone(func() bool { return a.ended || a.unreceived || !a.nested.full || s.committed })
	return a.ended
}

// awaitInside waits for the end of the stream that an adapter's attempt runs on, which
// grpc-go reports before it ends the context.
func (a *attempt) awaitInside() {
	s := a.stream
	stop := context.AfterFunc(a.ctx, s.wake)
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for a.aliveInside() || a.sending { // the adapter may open another in SendMsg
		s.cond.Wait()
	}
}

// caught is deferred on a goroutine where no one could recover a panic. That of the
// chain raises it.
func (a *attempt) caught(returned *bool) {
	if *returned {
		return
	}
	v := recover()
	a.stream.mu.Lock()
	a.raised = v
	a.stream.mu.Unlock()
	a.finished(errInternal("the stream panicked, or ended its goroutine by runtime.Goexit"))
}

// finished ends the attempt with an error, or what the transport said: io.EOF and
// nil are OK.
func (a *attempt) finished(err error) {
	if err == io.EOF {
		err = nil
	}
	a.stream.mu.Lock()
	a.endLocked(err)
	cancel := a.cancel
	a.stream.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// ends finishes the attempt with an error, or io.EOF, that was received from the transport.
func (a *attempt) ends(err error) {
	if err == io.EOF {
		err = nil
	}
	cancelled := CodeOf(err) == codes.Canceled
	a.stream.mu.Lock()
	a.endReceived = true
	if a.cut && a.cutEnds(err, cancelled) {
		err = a.heard
	}
	if a.incomplete && (a.ctx.Err() == nil || CodeOf(err) != CodeOf(a.ctx.Err())) {
		err = ErrDiscarded // the status of the server, without the messages before it, is no outcome
	}
	a.endLocked(err)
	a.stream.mu.Unlock()
	a.cancel()
}

// cutEnds reports whether an attempt that was cut off ends as grpc-go has reported, and not with
// err: that is the end of another stream, or an interceptor of grpc-go could not open one. The
// lock is held.
func (a *attempt) cutEnds(err error, cancelled bool) bool {
	if a.heard == nil {
		return a.stream.desc.ServerStreams
	}
	return cancelled || err == nil && a.heardOK
}

// answered ends the attempt with its one response, unless it ended before.
func (a *attempt) answered(msg any) {
	a.stream.mu.Lock()
	a.endReceived = true
	a.noteExists()
	var err error
	switch {
	case a.ended:
	case a.cut && a.cutEnds(nil, false):
		err = a.heard
	default:
		a.call.response = msg
		a.call.countReceived()
	}
	a.endLocked(err)
	a.stream.mu.Unlock()
	a.cancel()
}

// endLocked is finished for callers that hold the lock, and cancel later.
func (a *attempt) endLocked(err error) {
	if a.ended {
		return
	}
	if err == nil && a.incomplete {
		err = ErrDiscarded
	}
	a.ended, a.err, a.opening = true, err, false
	if a.stream.current == a {
		a.stream.current = nil
	}
	a.stream.cond.Broadcast()
}

func (a *attempt) hasEnded() bool {
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	return a.ended
}

// settle ends an attempt whose context is done, if it has not ended, and waits for
// the application to leave it.
func (a *attempt) settle() {
	if s := a.stream; !s.receiveRest(a) {
		a.finished(a.unknownEnd())
	}
	if v := a.awaitSend(); v != nil {
		panic(v)
	}
	a.capture()
	a.adoptInside()
	a.call.unsent = a.call.unsent || a.isUnsent()
}

// awaitSend waits until a message that is being sent counts, or does not. It returns
// what the goroutine that looked for the end panicked with.
func (a *attempt) awaitSend() (raised any) {
	s := a.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	for a.sending && a.raised == nil {
		s.cond.Wait()
	}
	return a.raised
}

// goesOnIn returns the context of the stream that goes on although grpc-go reported an
// end, or nil: that end was of an earlier stream, which an interceptor of grpc-go has
// replaced, or the context is about to end. Only the goroutine that receives may call it:
// an interceptor may replace its stream in RecvMsg, without a lock.
func (a *attempt) goesOnIn() context.Context {
	s := a.stream
	s.mu.Lock()
	inside, reported := a.adapted && a.aliveInside(), a.heard != nil && a.ctx.Err() == nil
	s.mu.Unlock()
	switch {
	case inside:
		return a.ctx
	case a.adapted || !reported:
		return nil
	}
	live := a.liveContext()
	s.mu.Lock()
	defer s.mu.Unlock()
	if live != nil && a.over {
		a.reopened = true
		s.cond.Broadcast()
	}
	a.over = live == nil
	return live
}

// isOver reports whether the transport's stream is over when a message could not be
// sent, on the goroutine that sends.
func (a *attempt) isOver() bool {
	s := a.stream
	s.mu.Lock()
	exists, inside := a.exists, a.adapted && !a.aliveInside()
	s.mu.Unlock()
	if a.adapted {
		return inside
	}
	exists = exists || a.answers()
	over := exists && (a.ctx.Err() != nil || a.liveContext() == nil)
	s.mu.Lock()
	a.exists, a.over = exists, over
	s.mu.Unlock()
	return over
}

// canAsk reports whether the library may call Context, Header, RecvMsg and Trailer of the
// transport's stream without the application. Some interceptors of grpc-go open theirs with
// the first message, and embed none until then. So before the transport has taken or
// delivered a message, canAsk waits for the application to leave SendMsg, and tries Context.
func (a *attempt) canAsk() bool {
	s := a.stream
	s.mu.Lock()
	a.probing++
	for a.sending && !a.exists && a.raised == nil {
		s.cond.Wait()
	}
	known := a.exists
	s.mu.Unlock()
	exists := known || a.answers()
	s.mu.Lock()
	a.probing--
	a.exists = exists
	if !known {
		s.cond.Broadcast()
	}
	s.mu.Unlock()
	return exists
}

// answers reports whether the transport's stream has a context, instead of a panic.
func (a *attempt) answers() (ok bool) {
	defer func() {
		if !ok {
			_ = recover()
		}
	}()
	return a.wire.Context() != nil
}

// aliveInside reports whether the stream of an adapter goes on although grpc-go reported
// an end. It is foreign code, and to ask for the context would commit the stream inside.
// The lock is held.
func (a *attempt) aliveInside() bool {
	return a.wire != nil && a.ctx.Err() == nil && !a.nested.over && !a.nested.full
}

// unknownEnd is the error of an attempt whose end cannot be received.
func (a *attempt) unknownEnd() error {
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	if err := a.ctx.Err(); err != nil && (a.heard == nil || a.reopened && !a.cut) {
		return status.FromContextError(err).Err()
	}
	return a.heard
}

// abandon ends the attempts of a call whose chain has returned too early.
func (s *clientStream) abandon(err error) {
	s.mu.Lock()
	s.broken = err
	var left attempts
	if s.made != nil {
		left = append(left, s.made)
	}
	if s.race != nil {
		left = append(left, s.race.attempts...)
	}
	s.toOpen = nil
	s.mu.Unlock()
	for _, a := range left {
		a.finished(err)
	}
}
