package hauberk

import (
	"context"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// clientStream is a streaming call on a client, and the stream that the
// application gets.
//
// The chain runs on a goroutine of its own, from its start until the call has
// ended. Its inner end waits there for the end of each attempt, while the
// application sends and receives on its own goroutines. The first attempt is
// opened by the application's goroutine, which is waiting anyway and whose stack
// has the room.
type clientStream struct {
	call  Call
	desc  *grpc.StreamDesc
	cc    *grpc.ClientConn
	open  grpc.Streamer
	app   *appOptions
	start Next // the chain, or the part of it inside an adapter
	ctx   context.Context

	mu        sync.Mutex // guards what follows, and attempts
	cond      sync.Cond
	started   bool
	toOpen    *attempt // by the application's goroutine
	opened    bool     // an attempt has been
	current   *attempt // that the application sends to and receives from
	latest    *attempt // opened last: its header and trailer are the call's
	committed bool     // a response message or the header was delivered
	closed    bool     // the application closed its sending side
	done      bool     // the chain has returned
	err       error    // its outcome
	panicked  any      // its panic
	replies   []any
	delivered bool // the single response was
	restart   *tap // where the next attempt replays from
	demand    demand
	race      *race
	outer     *attempt // of the part inside an adapter: the attempt that it is the wire of

	first attempt // most calls have no other
}

func (c *Chain) newStream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts []grpc.CallOption) (grpc.ClientStream, error) {
	r, err := c.clientRoute(method, kindOfStream(desc))
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	s := &clientStream{desc: desc, cc: cc, open: open, start: r.plan.start}
	s.call.init(ctx, r, ClientSide, s)
	s.ctx = &s.call.ctx
	s.app = s.call.takeOptions(opts)
	return s.launch()
}

// launch starts the chain of a method with client streaming. That of others
// starts when the request is known, in SendMsg.
func (s *clientStream) launch() (grpc.ClientStream, error) {
	s.cond.L = &s.mu
	if s.desc.ClientStreams {
		if err := s.begin(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// begin starts the chain and returns when the call is open or answered.
func (s *clientStream) begin() error {
	s.mu.Lock()
	s.started = true
	s.mu.Unlock()
	go s.run()
	return s.awaitOpen()
}

// run is the chain's goroutine.
func (s *clientStream) run() {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover()
		err := errInternal("an interceptor ended its goroutine by runtime.Goexit")
		if v != nil {
			err = errInternal("an interceptor panicked")
		}
		s.end(err, v)
	}()
	err := s.start(s.ctx, &s.call)
	if err == nil && !s.desc.ServerStreams {
		err = s.call.needResponse()
	}
	returned = true
	s.end(toApplication(err), nil)
}

// end gives the application the outcome of the chain.
func (s *clientStream) end(err error, panicked any) {
	if s.app != nil {
		s.app.serve(&s.call, err)
	}
	s.mu.Lock()
	s.done, s.err, s.panicked = true, err, panicked
	s.replies = s.call.takeReplies()
	s.cond.Broadcast()
	s.mu.Unlock()
	if s.outer != nil {
		s.outer.onFinish(err)
	}
}

// awaitOpen opens the first attempt when the chain asks for it, and returns when
// the call is open or the chain has returned.
func (s *clientStream) awaitOpen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.opened && !s.done {
		att := s.toOpen
		if att == nil {
			s.cond.Wait()
			continue
		}
		s.toOpen = nil
		s.mu.Unlock()
		att.open()
		s.mu.Lock()
	}
	if s.opened {
		return nil // what comes later comes out of RecvMsg, as in grpc-go
	}
	return s.outcome()
}

// outcome returns the chain's error, or panics as it did. The lock is held.
func (s *clientStream) outcome() error {
	if s.panicked != nil {
		panic(s.panicked)
	}
	return s.err
}

// finish makes one attempt on the wire and returns when it has ended.
func (s *clientStream) finish(ctx context.Context, call *Call) error {
	return s.attempt(ctx, call, (*attempt).dial)
}

// attempt makes one attempt on a stream of open's and returns when it has ended.
func (s *clientStream) attempt(ctx context.Context, call *Call, open opener) error {
	if call != &s.call {
		return s.compete(ctx, call, open)
	}
	s.mu.Lock()
	att := &s.first
	isFirst := att.stream == nil
	if !isFirst {
		att = new(attempt)
	}
	att.init(ctx, s, call, open)
	att.replays, s.restart = s.restart, nil
	if isFirst {
		s.toOpen = att
		s.cond.Broadcast()
	}
	s.mu.Unlock()
	if !isFirst {
		att.open()
	}
	return att.wait()
}

// again reports whether the link at place i-1 can make a new attempt.
func (s *clientStream) again(call *Call, i int32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.committed {
		return false
	}
	if !s.desc.ClientStreams {
		return true
	}
	more := call.more.Load()
	if more == nil {
		return false
	}
	for _, h := range more.send {
		if h.tap != nil && h.tap.depth == i && !h.tap.dropped {
			s.restart = h.tap
			return true
		}
	}
	return false
}

// Context returns the context that the application made the call with, in which
// the call's state is.
func (s *clientStream) Context() context.Context { return s.ctx }

// SendMsg sends a message of the application. The one request of a method without
// client streaming starts the chain.
func (s *clientStream) SendMsg(msg any) error {
	if !s.desc.ClientStreams {
		return s.sendRequest(msg)
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return status.Error(codes.Internal, "SendMsg called after CloseSend")
	}
	att := s.sending()
	s.mu.Unlock()
	if att == nil {
		return io.EOF
	}
	err := att.push(msg)
	switch {
	case err == nil, err == io.EOF:
		return err
	default:
		att = s.failing(att)
		att.fail(err)
		return s.afterFailure(att)
	}
}

// failing returns the attempt that a failed send was meant for: a tap sends to
// the one that is current by then.
func (s *clientStream) failing(att *attempt) *attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		return s.current
	}
	return att
}

// sending returns the attempt whose hooks a message goes through: the current,
// or between attempts the last one. It is nil when the call has ended. The lock
// is held.
func (s *clientStream) sending() *attempt {
	if s.done {
		_ = s.outcome()
		return nil
	}
	if s.current != nil {
		return s.current
	}
	return s.latest
}

// afterFailure waits for what the chain makes of a failed send.
func (s *clientStream) afterFailure(att *attempt) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.done && (s.current == nil || s.current == att) {
		s.cond.Wait()
	}
	if !s.done {
		return nil // another attempt replays the message
	}
	if err := s.outcome(); err != nil {
		return err
	}
	return io.EOF
}

// sendRequest starts the chain with the single request.
func (s *clientStream) sendRequest(msg any) error {
	s.mu.Lock()
	started := s.started
	s.mu.Unlock()
	if started {
		return status.Error(codes.Internal, "SendMsg called after CloseSend")
	}
	s.call.request = msg
	return s.begin()
}

// CloseSend says that the application sends no more.
func (s *clientStream) CloseSend() error {
	s.mu.Lock()
	if s.closed || s.started && !s.desc.ClientStreams {
		s.closed = true
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	started, att := s.started, s.current
	if att != nil && att.replays != nil {
		att = nil // the replay closes
	}
	s.mu.Unlock()
	switch {
	case !started:
		return s.begin()
	case att != nil:
		return att.wire.CloseSend()
	default:
		return nil
	}
}

// Header returns the response header when it has come; nil if the call ended
// without one.
func (s *clientStream) Header() (metadata.MD, error) {
	for {
		att, err := s.awaitAttempt(nil)
		if att == nil {
			return s.finalHeader(), err
		}
		md, err := att.wire.Header()
		if md != nil {
			s.commit()
			return md, err
		}
		if !att.hasEnded() {
			return nil, err
		}
	}
}

// finalHeader returns the header of a call that has ended.
func (s *clientStream) finalHeader() metadata.MD {
	s.mu.Lock()
	att := s.latest
	s.mu.Unlock()
	if att == nil {
		return nil
	}
	md, _ := att.wire.Header()
	return md
}

// Trailer returns the trailer of a call that has ended.
func (s *clientStream) Trailer() metadata.MD {
	s.mu.Lock()
	att := s.latest
	s.mu.Unlock()
	if att == nil {
		return nil
	}
	return att.wire.Trailer()
}

// commit says that the application has been given something.
func (s *clientStream) commit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.committed = true
}

// awaitAttempt returns an attempt to receive msg from, or the header if msg is nil;
// none when the chain has returned, or if ctx ends before it started.
func (s *clientStream) awaitAttempt(msg any) (*attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		s.current.busy = msg != nil
		return s.current, nil
	}
	s.want(msg)
	if !s.started {
		stop := context.AfterFunc(s.ctx, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.cond.Broadcast()
		})
		defer stop()
	}
	for s.current == nil && !s.done {
		if !s.started && s.ctx.Err() != nil {
			return nil, toApplication(s.ctx.Err())
		}
		s.cond.Wait()
	}
	if s.current != nil {
		s.current.busy = msg != nil
	}
	return s.current, nil
}

// RecvMsg receives a message for the application. It returns io.EOF at the end
// of a call that is OK, and otherwise the error of the chain.
func (s *clientStream) RecvMsg(msg any) error {
	for {
		att, err := s.awaitAttempt(msg)
		if err != nil {
			return err
		}
		if att == nil {
			return s.receiveOutcome(msg)
		}
		if err := att.receiveWire(msg); err != nil {
			att.finished(err)
			continue
		}
		if !s.desc.ServerStreams {
			att.call.response = msg
			att.finished(nil)
			continue
		}
		keep, err := att.accept(msg)
		if err != nil {
			att.fail(err)
			continue
		}
		att.settle(keep)
		if keep {
			return nil
		}
	}
}

// receiveOutcome receives what the chain has answered.
func (s *clientStream) receiveOutcome(msg any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.outcome(); err != nil {
		return err
	}
	if !s.desc.ServerStreams && !s.delivered {
		s.delivered = true
		return assign(msg, s.call.response)
	}
	if len(s.replies) == 0 {
		return io.EOF
	}
	reply := s.replies[0]
	s.replies = s.replies[1:]
	return assign(msg, reply)
}
