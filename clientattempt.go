package hauberk

import (
	"context"
	"io"
	"slices"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// attempt is one call on the wire.
type attempt struct {
	stream  *clientStream
	call    *Call
	ctx     context.Context
	cancel  context.CancelFunc // nil where nothing in the process ends the attempt
	send    []sendHook
	receive []ReceiveHook
	opts    []grpc.CallOption
	method  string
	request any // the single one
	opener  opener
	wire    grpc.ClientStream
	over    chan struct{} // closed when the attempt has ended

	ended            bool
	err              error
	busy             bool  // being opened or received from, which tells of the end
	overheard        error // the end that onFinish heard of meanwhile
	replays          *tap  // what it replays from, until that is done
	replayed         int
	closeAfterReplay bool
	told             atomic.Bool // the end was received from the wire
	head             any         // the first message, received before the attempt won
}

// init prepares an attempt with what the links have made of the call.
func (a *attempt) init(ctx context.Context, s *clientStream, call *Call, open opener) {
	ctx = call.measure(ctx)
	a.stream, a.call, a.ctx, a.opts, a.method = s, call, ctx, call.opts, call.method.full
	a.request, a.opener = call.request, open
	a.over = make(chan struct{})
	if more := call.more.Load(); more != nil {
		a.send, a.receive = more.send, more.receive
	}
	if len(a.send)+len(a.receive) > 0 || call != &s.call {
		a.ctx, a.cancel = context.WithCancel(ctx)
	}
}

// open opens the attempt on the wire, sends what is there to be sent, and makes
// it the one that the application uses.
func (a *attempt) open() {
	if !a.connect() {
		return
	}
	s := a.stream
	s.mu.Lock()
	replays := a.replays
	s.opened, s.latest = true, a
	if !a.ended {
		s.current = a
	}
	s.cond.Broadcast()
	s.mu.Unlock()
	if replays == nil {
		return
	}
	if err := replays.replay(a); err != nil && err != io.EOF {
		a.fail(err)
	}
	if a.closeAfterReplay {
		_ = a.wire.CloseSend()
	}
}

// opener opens the stream that an attempt runs on.
type opener func(a *attempt) (grpc.ClientStream, error)

// dial opens a stream on the wire.
func (a *attempt) dial() (grpc.ClientStream, error) {
	opts := slices.Concat(a.opts, []grpc.CallOption{grpc.OnFinish(a.onFinish)})
	return a.stream.open(a.ctx, a.stream.desc, a.stream.cc, a.method, opts...)
}

// connect opens the stream and sends a single request.
func (a *attempt) connect() bool {
	s := a.stream
	a.busy = true
	defer a.settle(false)
	wire, err := a.opener(a)
	if err != nil {
		a.finished(err)
		return false
	}
	s.mu.Lock()
	a.wire = wire
	s.mu.Unlock()
	if s.desc.ClientStreams {
		return true
	}
	if a.request != nil {
		if err := a.sendWire(a.request); err != nil && err != io.EOF {
			a.finished(err)
			return false
		}
	}
	_ = wire.CloseSend()
	return true
}

// onFinish hears from grpc-go, on any of its goroutines, that the stream is over,
// or from the chain inside an adapter. It matters when the application is not
// there to hear it from the stream, which may be an adapter's and have it later,
// or otherwise. A good end is always RecvMsg's to tell, with the message in hand.
func (a *attempt) onFinish(err error) {
	if err == nil {
		return
	}
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	if a.busy {
		a.overheard = err
		return
	}
	a.endLocked(err)
}

// reopened forgets the end of a stream that an adapter has opened anew.
func (a *attempt) reopened() {
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	a.overheard = nil
}

// settle ends an opening, or a RecvMsg that got a message, which the hooks kept or
// not.
func (a *attempt) settle(kept bool) {
	s := a.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	a.busy = false
	s.committed = s.committed || kept
	if a.overheard != nil {
		a.endLocked(a.overheard)
	}
}

// finished ends the attempt with what the wire said: io.EOF and nil are OK.
func (a *attempt) finished(err error) {
	if err == io.EOF {
		err = nil
	}
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	a.endLocked(err)
}

// answered ends the attempt with its one response, unless it ended before.
func (a *attempt) answered(msg any) {
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	if !a.ended {
		a.call.response = msg
	}
	a.endLocked(nil)
}

// endLocked is finished for callers that hold the lock.
func (a *attempt) endLocked(err error) {
	if a.ended {
		return
	}
	a.ended, a.err = true, err
	if a.stream.current == a {
		a.stream.current = nil
	}
	close(a.over)
}

// fail ends the attempt with an error of this process and lets the wire go.
func (a *attempt) fail(err error) {
	a.finished(err)
	if a.cancel != nil {
		a.cancel()
	}
}

func (a *attempt) hasEnded() bool {
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	return a.ended
}

// wait returns the outcome when the attempt has ended.
func (a *attempt) wait() error {
	select {
	case <-a.over:
	case <-a.ctx.Done():
		a.finished(status.FromContextError(a.ctx.Err()).Err())
	}
	if a.cancel != nil {
		a.cancel()
	}
	a.capture()
	return a.err
}

// capture keeps the metadata of an attempt for those who asked.
func (a *attempt) capture() {
	a.stream.mu.Lock()
	wire := a.wire
	a.stream.mu.Unlock()
	if wire == nil || a.call.asks&asksMetadata == 0 {
		return
	}
	in := received{trailer: a.trailer()}
	in.header, _ = wire.Header()
	if p, ok := peer.FromContext(wire.Context()); ok {
		in.peer = *p
	}
	a.call.lazy().incoming = in
}

// push sends a message of the application through the hooks to the wire.
func (a *attempt) push(msg any) error {
	if len(a.send) == 0 {
		return a.sendWire(msg)
	}
	return a.guarded(func() error { return pass(a.send, true, msg, a.sendWire) })
}

func (a *attempt) sendWire(msg any) error {
	// Counted first: the answer may end the call before SendMsg returns.
	a.call.sent.Add(1)
	err := a.wire.SendMsg(msg)
	if err != nil {
		a.call.sent.Add(-1)
	}
	return err
}

// receiveWire receives from the wire, or what was received before.
func (a *attempt) receiveWire(msg any) error {
	if head := a.head; head != nil {
		a.head = nil
		return assign(msg, head)
	}
	err := a.wire.RecvMsg(msg)
	if err != nil || !a.stream.desc.ServerStreams {
		a.told.Store(true)
	}
	return err
}

// trailer returns the trailer, once the end was received. Of an attempt that ended
// in another way none is known, and grpc-go may be writing one.
func (a *attempt) trailer() metadata.MD {
	if !a.told.Load() {
		return nil
	}
	return a.wire.Trailer()
}

// accept counts a received message and shows it to the hooks.
func (a *attempt) accept(msg any) (keep bool, err error) {
	a.call.received.Add(1)
	if len(a.receive) == 0 {
		return true, nil
	}
	err = a.guarded(func() error {
		keep, err = accept(a.receive, false, msg)
		return err
	})
	return keep, err
}

// guarded runs hooks on the application's goroutine under the chain's guard.
func (a *attempt) guarded(hooks func() error) error {
	if a.call.plan.guard == nil {
		return hooks()
	}
	run := a.call.plan.guarded(func(context.Context, *Call) error { return hooks() })
	return run(a.ctx, a.call)
}
