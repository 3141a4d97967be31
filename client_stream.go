package hauberk

import (
	"context"
	"sync"

	"google.golang.org/grpc"
)

// clientStream is a streaming call on a client, and the stream that the
// application gets. docs/streams.md is its contract.
//
// Goroutines. The chain runs on its own goroutine, from NewStream until the call
// has ended. Its terminal waits there for the end of each attempt, while the
// application sends and receives on its own goroutines. The application's goroutine
// opens the first attempt, since it waits anyway and its stack has the room; the
// chain's goroutine opens the others and replays to them. Concurrent attempts
// (client_hedge.go) run on the goroutines of the interceptor that makes them.
//
// States. A call is in one of these, by the fields in brackets:
//
//	          NewStream
//	              │
//	              ▼
//	┌──────── starting ──────────┐   the chain runs, nothing is open
//	│             │ first opens  │
//	│             ▼              │
//	│ ┌────── attempted ───────┐ │   [current] the application sends and receives
//	│ │           │ ends       │ │
//	│ │           ▼            │ │
//	│ │        between ──┐     │ │   [opened, no current] the chain decides
//	│ │           ▲      │ next│ │
//	│ │           └──────┴─────┘ │   a new attempt: replay, then attempted
//	│ └───────────┬──────────────┘
//	└───────────▶ ▼ ◀────────────    the chain returns
//	            done                 [done] arrived messages, then the outcome
//
// An attempt is opening, then ready once it has got what is replayed, then ended. If the
// replay broke off it is full: it takes no messages, and ends when its stream does.
// It ends when its end was received from the transport: by the application in
// RecvMsg, or by another goroutine in its place (receiveRest) when the context is
// done, grpc-go reports an end, or a sender gets io.EOF while a retry is possible.
// One goroutine at a time receives [receiving]. What is received in the
// application's place waits in [arrived].
//
// Locks. mu guards the fields below it, those of the attempts, and the last group
// of a leg's. No foreign code runs while it is held: transports, codecs, hooks,
// callbacks. The goroutine of the chain owns call.
type clientStream struct {
	call   Call
	method *Method // whose messages it has; SetMethod does not change it
	desc   *grpc.StreamDesc
	cc     *grpc.ClientConn
	open   grpc.Streamer
	app    *appOptions
	start  Next            // the chain, or the part of it inside an adapter
	ctx    context.Context // the application's, with the call in it
	outer  *attempt        // of a part inside an adapter: the attempt that it is the transport of

	attempted bool // an attempt was made; the goroutine of the chain owns it

	mu   sync.Mutex
	cond sync.Cond

	// Attempts.
	current *attempt // that the application sends to and receives from
	latest  *attempt // that was opened last: its header and trailer are the call's
	race    *race
	opened  bool // an attempt was opened

	// What the chain does.
	asked    bool          // an interceptor waits, or has waited, for the first request
	returned bool          // the chain has returned; callbacks may still run
	done     bool          // the application may have the outcome
	outcome  outcome       // of the chain, once it is done
	made     *attempt      // the last that is not concurrent with others
	toOpen   *attempt      // the first attempt, for the application's goroutine
	restart  *replayBuffer // that the next attempt is fed from
	broken   error         // misuse by the application: no attempt follows
	resumer  int32         // the place of the interceptor that called Resume last
	lost     int32         // if not 0, a message that the hooks of interceptors in lower places have seen was discarded

	// What the application did.
	launched  bool // NewStream has returned
	closed    bool // CloseSend was called
	requested bool // the single request was sent
	receiving bool // a goroutine receives from current
	committed bool // a response message or the header was delivered, and no Resume came after it
	delivered bool // the single response was delivered
	request   any  // the single request, for attempts and Read
	kept      *any // of a stream of requests: the first, if it was asked for before there was an attempt
	wasRead   bool // an interceptor has read it
	rejected  bool // inside an adapter: SendMsg has returned io.EOF
	dropped   bool // no attempt needs it, and it is gone
	waiting   int  // operations that wait for the chain or the header
	arrived   []any
	demand    demand

	own       context.Context // Context's result while there is no transport's
	cancelOwn context.CancelFunc

	first attempt // most calls have no other
}

// outcome is what a chain returned, or how it panicked.
type outcome struct {
	err      error
	panicked any
}

func (c *Chain) newStream(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string,
	open grpc.Streamer, opts []grpc.CallOption,
) (grpc.ClientStream, error) {
	r := c.clientRoute(method, kindOfStream(desc))
	s := &clientStream{method: r.method, desc: desc, cc: cc, open: open, start: r.plan.start}
	s.call.init(ctx, r, ClientSide, s)
	s.ctx = &s.call.ctx
	s.app = s.call.takeOptions(opts)
	return s.launch()
}

// launch starts the chain and returns when an attempt is open, the chain has
// returned, or an interceptor waits for the first request.
func (s *clientStream) launch() (grpc.ClientStream, error) {
	s.cond.L = &s.mu
	go s.run()
	returned := false
	defer s.launchEnded(&returned)
	stream, err := s.awaitLaunch()
	returned = true
	return stream, err
}

// launchEnded ends the call if NewStream has panicked, or has ended its goroutine: no one
// has the stream, so that no attempt may follow.
func (s *clientStream) launchEnded(returned *bool) {
	if !*returned {
		s.abandon(errInternal("NewStream panicked, or its goroutine was ended by runtime.Goexit"))
	}
}

func (s *clientStream) awaitLaunch() (grpc.ClientStream, error) {
	s.mu.Lock()
	s.await(func() bool { return s.opened || s.asked && s.toOpen == nil })
	s.launched = true
	failed := s.done && !s.opened
	s.mu.Unlock()
	if failed {
		if err := s.finalError(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// run is the goroutine of the chain.
func (s *clientStream) run() {
	if len(s.call.plan.entries)-int(s.call.base) >= deepChain {
		growStack(false)
	}
	returned := false
	defer s.end(&returned)
	s.call.last = s.start(s.ctx, &s.call)
	returned = true
}

// end ends the goroutine of the chain, also one that panics or exits.
func (s *clientStream) end(returned *bool) {
	var o outcome
	defer s.publish(&o)
	switch {
	case *returned:
		s.conclude(&o)
		if o.panicked == nil {
			s.report(&o)
		}
	default:
		if o.panicked = recover(); o.panicked == nil {
			o.err = s.call.broken()
		}
	}
}

// conclude sets the outcome of a chain that has returned.
func (s *clientStream) conclude(o *outcome) {
	defer func() {
		if v := recover(); v != nil { // a method of the error has panicked
			o.panicked = v
		}
	}()
	o.panicked = s.call.raised()
	o.err = s.call.toApplication(s.call.last)
	if s.outer != nil && s.call.unsent && o.err != nil {
		s.outer.notEncoded(o.err)
	}
}

// report reports the end of a chain that has returned, to the attempt outside of an
// adapter and to the application's options.
func (s *clientStream) report(o *outcome) {
	if s.outer != nil && o.err == nil {
		s.outer.innerEnded(s, nil)
	}
	if s.app != nil {
		s.serveOptions(o)
	}
}

// serveOptions serves the application's options that report the end.
func (s *clientStream) serveOptions(o *outcome) {
	s.mu.Lock()
	s.returned = true
	s.cond.Broadcast()
	s.mu.Unlock()
	returned := false
	defer func() {
		if returned {
			return
		}
		if o.panicked = recover(); o.panicked == nil {
			o.err = errInternal("a callback of grpc.OnFinish ended its goroutine by runtime.Goexit")
		}
	}()
	o.err = s.app.serveGuarded(&s.call, o.err)
	returned = true
}

// broken is the outcome of a chain whose goroutine was ended by runtime.Goexit.
func (c *Call) broken() error {
	if c.leaving {
		return c.last // what the guard made of it
	}
	return errInternal("an interceptor ended its goroutine by runtime.Goexit")
}

// publish gives the application the outcome of the chain.
func (s *clientStream) publish(o *outcome) {
	var replies []any
	if o.err == nil && o.panicked == nil {
		replies = s.call.countReplies()
	}
	s.mu.Lock()
	s.arrived = append(s.arrived, replies...)
	s.outcome, s.returned, s.done = *o, true, true
	left, cancel, handedOut := s.current, s.cancelOwn, s.opened || s.launched
	s.cond.Broadcast()
	s.mu.Unlock()
	if left != nil { // a panic has left it
		left.finished(errInternal("the chain has ended"))
	}
	switch {
	case s.outer == nil || !handedOut: // an opening that failed is the adapter's to report
	case o.panicked != nil:
		s.outer.innerEnded(s, errInternal("an interceptor inside FromClient has panicked"))
	case o.err != nil:
		s.outer.innerEnded(s, o.err)
	}
	if cancel != nil {
		cancel()
	}
}

// finalError returns the error of the chain, once it is done, or panics as it did.
func (s *clientStream) finalError() error {
	s.mu.Lock()
	o := s.outcome
	s.mu.Unlock()
	if o.panicked != nil {
		panic(o.panicked)
	}
	return o.err
}

// await waits until ready returns true, or the chain has returned, and opens the
// first attempt meanwhile. It is called, and returns, with the lock held; if the
// opening panics the lock is not held.
func (s *clientStream) await(ready func() bool) bool {
	for {
		switch a := s.toOpen; {
		case ready():
			return true
		case a != nil:
			s.toOpen = nil
			s.mu.Unlock()
			a.open()
			s.mu.Lock()
		case s.done:
			return false
		default:
			s.waiting++
			s.cond.Wait()
			s.waiting--
		}
	}
}

// awaitUntilDone is await for operations that need not know the outcome of the chain. It
// also returns when the application's context is done: a hook may send on its own stream.
func (s *clientStream) awaitUntilDone(ready func() bool) bool {
	if ready() {
		return true
	}
	stop := context.AfterFunc(s.ctx, s.wake)
	defer stop()
	return s.await(func() bool { return ready() || s.ctx.Err() != nil }) && ready()
}

// wake makes those that wait look again.
func (s *clientStream) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cond.Broadcast()
}

// finish makes one attempt on the transport and returns when it has ended.
func (s *clientStream) finish(ctx context.Context, call *Call) error {
	return s.attempt(ctx, call, (*attempt).dial)
}

// attempt makes one attempt on a stream of open's and returns when it has ended.
func (s *clientStream) attempt(ctx context.Context, call *Call, open opener) error {
	call.made, call.unsent = true, ctx.Err() != nil
	if call != &s.call {
		return s.compete(ctx, call, open)
	}
	a := &s.first
	first := !s.attempted
	if s.attempted = true; !first {
		a = new(attempt)
	}
	a.init(ctx, s, call, open)
	if err := s.makes(a); err != nil {
		a.finished(err)
		return err
	}
	if !first || !s.offer(a) {
		a.open()
	}
	return a.wait()
}

// makes notes an attempt before it is opened, and gives it what it has to replay.
func (s *clientStream) makes(a *attempt) error {
	s.mu.Lock()
	source, broken := s.restart, s.broken
	s.made, s.restart = a, nil
	a.discarded = s.discards(a.call)
	s.mu.Unlock()
	switch {
	case broken != nil:
		return broken
	case source == nil:
		return nil
	default:
		return a.stock(source)
	}
}

// offer lets the application's goroutine open an attempt, if that is in NewStream.
func (s *clientStream) offer(a *attempt) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.launched {
		return false
	}
	s.toOpen = a
	s.cond.Broadcast()
	return true
}

func (s *clientStream) conn() *grpc.ClientConn { return s.cc }

// again reports whether an interceptor can make a new attempt: nothing was
// delivered, and the messages that were sent are kept at its place.
func (s *clientStream) again(call *Call, i int32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch l := call.prepared; {
	case s.committed || s.broken != nil || i < s.resumer:
		return false
	case !s.desc.ClientStreams:
		return true
	default:
		return l != nil && l.depth == i && l.buffer != nil && !l.buffer.gone
	}
}
