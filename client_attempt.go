package hauberk

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/hauberk-rpc/hauberk/internal/callcreds"
)

// maxArrived bounds the messages that are received in the application's place.
const maxArrived = 1 << 14

// attempt is one stream of the transport. What it was made of never changes; the
// mutex of the stream guards the rest.
type attempt struct {
	stream *clientStream
	call   *Call
	ctx    context.Context    // done when the attempt has ended, or has to; before the opening that of next
	cancel context.CancelFunc // of ctx; nil before the opening
	option [1]grpc.CallOption // onFinish
	leg    *leg               // the innermost
	path   []*leg             // the legs of the stream, outermost first
	opts   []grpc.CallOption
	target *Method
	opener opener
	replay *replay // what it has to replay, or nil; the goroutine that opens it owns it
	depth  int32   // how many nexts run
	creds  *callcreds.Watch

	commits bool // the response header commits the call: CommitOnHeader was called
	adapted bool // an interceptor of grpc-go opens it, whose stream may go on behind io.EOF

	opening     bool // a goroutine opens the transport's stream
	ready       bool // it has got what was replayed
	fed         bool // a goroutine sends it the single request
	gotRequest  bool // that was passed to the transport
	full        bool // it takes no more messages: a replay to it, or to the adapter around it, broke off
	cut         bool // it was cancelled at its end, since it is full
	partial     bool // it has not passed a message to the transport
	sending     bool // a message is being sent
	exists      bool // the transport has opened its stream, which may be asked
	over        bool // the stream inside of interceptors given to the connection was seen over
	unreceived  bool // of an adapter: its end is left to the application's RecvMsg
	reopened    bool // an interceptor of grpc-go has opened another stream
	ended       bool
	discarded   bool // Discard was called: nothing of it is delivered
	incomplete  bool // a message was not delivered for that
	endReceived bool // the end was received from the transport
	heardOK     bool // grpc-go reported a good end
	probing     int8 // goroutines that ask the transport whether its stream exists
	wire        grpc.ClientStream
	nested      nested // of an adapter
	heard       error  // the end that grpc-go reported last
	unencoded   error  // why a message could not be encoded, or an adapter's attempt was unsent
	unsent      error  // why the transport could not send a message, if that ended it
	err         error
	raised      any // what the goroutine that looks for the end panicked with
	head        any // of concurrent attempts: the first message, received before the attempt won
}

// opener opens the stream that an attempt runs on.
type opener func(a *attempt) (grpc.ClientStream, error)

// init prepares an attempt with what the interceptors have made of the call, on
// the goroutine of the chain.
func (a *attempt) init(ctx context.Context, s *clientStream, call *Call, open opener) {
	a.stream, a.call, a.opts, a.target = s, call, call.opts, call.method
	a.leg, a.depth, a.opener, a.opening = call.leg, call.nexts.depth(), open, true
	a.commits = call.commits
	a.ctx = call.measure(ctx)
	if l := call.leg; l != nil && l.host == s {
		a.path = make([]*leg, l.place+1)
		for ; l != nil && l.host == s; l = l.outer {
			a.path[l.place] = l
		}
	}
}

// begin gives the attempt its context, on the goroutine that opens it.
func (a *attempt) begin() {
	ctx, cancel := context.WithCancel(a.ctx)
	a.stream.mu.Lock()
	a.ctx, a.cancel = ctx, cancel
	ended := a.ended
	a.stream.mu.Unlock()
	if ended {
		cancel()
	}
}

// inside reports whether an attempt is made under a leg.
func (a *attempt) inside(l *leg) bool { return l.place < len(a.path) && a.path[l.place] == l }

// placeOf returns the place of the leg that has a buffer, or -1.
func (a *attempt) placeOf(b *replayBuffer) int {
	return slices.IndexFunc(a.path, func(l *leg) bool { return l.buffer == b })
}

// dial opens a stream of the transport.
func (a *attempt) dial() (grpc.ClientStream, error) {
	a.option[0] = grpc.OnFinish(a.onFinish)
	opts := a.option[:]
	if len(a.opts) > 0 {
		var all []grpc.CallOption
		all, a.creds = callcreds.Watched(a.opts)
		opts = slices.Concat(all, opts)
	}
	ctx := a.call.plan.chain.at.mark(a.ctx, a.target)
	return a.stream.open(ctx, a.stream.desc, a.leg.connection(a.stream.cc), a.target.full, opts...)
}

// open opens the attempt, makes it the one that the application uses, and replays
// to it. A panic leaves the attempt ended.
func (a *attempt) open() {
	a.begin()
	returned := false
	defer func() {
		if !returned {
			a.finished(errInternal("the opening of the stream panicked, or ended its goroutine by runtime.Goexit"))
		}
	}()
	wire, err := a.connect()
	if err != nil {
		a.notOpened(err)
	} else if a.use(wire) {
		if a.commits {
			go a.commitOnHeader()
		}
		a.feed()
	}
	returned = true
}

// connect opens the stream under the chain's guard.
func (a *attempt) connect() (wire grpc.ClientStream, err error) {
	err = a.call.guardedForeign(func() (err error) {
		wire, err = a.opener(a)
		return err
	})
	if err == nil && wire == nil {
		err = errInternal("an interceptor of grpc-go returned neither a stream nor an error")
	}
	return wire, err
}

// use gives the application the attempt, unless it has ended.
func (a *attempt) use(wire grpc.ClientStream) bool {
	s := a.stream
	s.mu.Lock()
	a.wire, a.opening = wire, false
	s.opened, s.latest = true, a
	broken := s.broken
	used := broken == nil && !a.ended
	if used {
		s.current = a
	}
	if a.replay != nil {
		a.replay.replaced = nil // the interceptor of grpc-go has opened several streams
	}
	s.cond.Broadcast()
	s.mu.Unlock()
	if broken != nil {
		a.finished(broken)
	}
	return used
}

// wait returns the outcome when the attempt has ended, on the goroutine of the
// chain.
func (a *attempt) wait() error {
	if !a.awaitOpened() {
		a.call.unsent = true
		return a.err // it was ended before a goroutine came to open it
	}
	<-a.ctx.Done()
	a.settle()
	return a.err
}

// awaitOpened waits until the application's goroutine has opened the attempt, or has
// tried to. An opening ends with its context.
func (a *attempt) awaitOpened() (tried bool) {
	s := a.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	for a.opening {
		s.cond.Wait()
	}
	return a.cancel != nil
}

// close lets the transport go, also when a panic has left the attempt.
func (a *attempt) close() {
	if !a.hasEnded() {
		a.finished(errInternal("the attempt panicked, or its goroutine was ended by runtime.Goexit"))
	}
}

// capture keeps the metadata of an attempt for the interceptors that asked for it.
func (a *attempt) capture() {
	if !a.call.captures {
		return
	}
	a.stream.mu.Lock()
	wire := a.wire
	a.stream.mu.Unlock()
	if wire == nil || !a.canAsk() {
		return
	}
	in := a.call.keepReceived()
	in.reset()
	in.trailer = a.trailer()
	if a.hasHeader() {
		in.header, _ = a.header()
	}
	if p, ok := peer.FromContext(wire.Context()); ok {
		in.peer = *p
	}
}

// hasHeader reports whether Header does not block.
func (a *attempt) hasHeader() bool {
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	return a.endReceived || a.call.received.Load() > 0 || a.ctx.Err() != nil
}

// trailer returns the trailer, once the end was received. Of an attempt that ended
// in another way none is known, and grpc-go may be writing one.
func (a *attempt) trailer() metadata.MD {
	a.stream.mu.Lock()
	received := a.endReceived
	a.stream.mu.Unlock()
	if !received || !a.canAsk() {
		return nil
	}
	return a.wire.Trailer()
}

// liveContext returns the context of the transport's stream, or nil if it is done.
func (a *attempt) liveContext() (live context.Context) {
	err := a.call.guardedForeign(func() error {
		live = a.wire.Context() //nolint:fatcontext // of one call of the function
		return live.Err()
	})
	if err != nil {
		return nil
	}
	return live
}
