package hauberk

import (
	"context"
	"sync"

	"google.golang.org/grpc"
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

func (c *Chain) newStream(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string,
	open grpc.Streamer, opts []grpc.CallOption,
) (grpc.ClientStream, error) {
	r, err := c.clientRoute(method, kindOfStream(desc))
	if err != nil {
		return nil, unroutable(err, opts)
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
		s.end(s.call.broken(), recover())
	}()
	err := s.start(s.ctx, &s.call)
	returned = true
	s.end(toApplication(err), nil)
}

// broken is the outcome of a chain that did not return: a panic, which the
// application gets instead, or the end of the goroutine by runtime.Goexit.
func (c *Call) broken() error {
	if c.leaving {
		return c.last // what the guard made of it
	}
	return errInternal("an interceptor ended its goroutine by runtime.Goexit")
}

// end gives the application the outcome of the chain.
func (s *clientStream) end(err error, panicked any) {
	if s.app != nil {
		s.app.serve(&s.call, err)
	}
	s.mu.Lock()
	s.done, s.err, s.panicked = true, err, panicked
	s.replies = s.call.takeReplies()
	s.call.received.Add(int64(len(s.replies)))
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

func (s *clientStream) conn() *grpc.ClientConn { return s.cc }

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
