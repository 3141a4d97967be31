package streamsim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// transport is a connection whose streams follow the scripts of a program. It behaves as grpc-go's
// client does: see stream.go and internal/transport there.
type transport struct{ w *world }

var _ grpc.ClientConnInterface = transport{}

// Invoke makes a unary call with a stream, as grpc-go does.
func (tr transport) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	s, err := tr.NewStream(ctx, unaryDesc, method, opts...)
	if err != nil {
		return err
	}
	if err := s.SendMsg(req); err != nil {
		return err
	}
	return s.RecvMsg(reply)
}

// NewStream opens the next stream of the program.
func (tr transport) NewStream(
	ctx context.Context, desc *grpc.StreamDesc, _ string, opts ...grpc.CallOption,
) (_ grpc.ClientStream, err error) {
	s := tr.w.newStream(ctx, desc, opts)
	defer func() {
		if err != nil {
			s.logf(evRejected, "%v", err)
			s.onFinish(err)
		}
	}()
	if s.sc.PanicOpen {
		s.failed = true
		tr.w.panics("the transport panics when it opens")
	}
	if err := s.open(); err != nil {
		s.failed = true
		s.cancel()
		return nil, err
	}
	return s, nil
}

// unaryDesc describes the streams of Invoke. grpc-go does not watch their context.
var unaryDesc = &grpc.StreamDesc{}

// stream is one stream of the transport.
type stream struct {
	w      *world
	n      int
	sc     script
	desc   *grpc.StreamDesc
	opts   []grpc.CallOption
	ctx    context.Context
	cancel context.CancelFunc
	failed bool // it was not opened
	late   bool // its context was done before

	openSeq  int
	openTime time.Duration

	finishing sync.Mutex

	mu       sync.Mutex
	changed  chan struct{} // closed at the next change
	finished bool          // the client has seen the end
	finishAt time.Duration
	finSeq   int
	over     bool // the transport's stream has ended: its status is final
	overAt   time.Duration
	byServer bool // the server ended it
	st       *status.Status
	trailer  metadata.MD
	header   metadata.MD
	headed   bool // the header has arrived or will not arrive
	bare     bool // it ended without a header
	queue    []item
	arrived  []string // messages
	popped   []string // messages that RecvMsg returned
	recvErr  error

	sentLast bool
	halved   bool     // the server sees the client's half-close
	inbox    []string // messages that the server has not read
	taken    []taken
	accepted int  // messages for which SendMsg returned nil
	first    bool // a message was received

	ahead              int // messages that were received while the application did not
	sends, recvs       int
	sending, receiving int
}

type item struct {
	text string
	err  error
}

// taken is a message that the transport took.
type taken struct {
	text string
	seq  int
	at   time.Duration
}

func (w *world) newStream(ctx context.Context, desc *grpc.StreamDesc, opts []grpc.CallOption) *stream {
	w.mu.Lock()
	n := len(w.streams)
	s := &stream{w: w, n: n, sc: w.p.Attempts[min(n, len(w.p.Attempts)-1)], desc: desc, opts: opts}
	w.streams = append(w.streams, s)
	w.mu.Unlock()
	ctx = peer.NewContext(ctx, &peer.Peer{Addr: &net.UnixAddr{Name: fmt.Sprint("stream", n)}})
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.changed = make(chan struct{})
	w.begun()
	s.openSeq = s.logf(evOpen, "")
	s.openTime = w.now()
	return s
}

func (s *stream) logf(what eventKind, format string, args ...any) int {
	return s.w.log(event{what: what, n: s.n, text: fmt.Sprintf(format, args...)})
}

func (s *stream) open() error {
	if s.sc.OpenDelay > 0 {
		t := time.NewTimer(s.sc.OpenDelay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-s.ctx.Done():
		}
	}
	if err := s.ctx.Err(); err != nil {
		s.late = true
		return contextStatus(err)
	}
	if s.sc.Reject != codes.OK {
		return status.Errorf(s.sc.Reject, "stream %d is rejected", s.n)
	}
	if s.desc != unaryDesc {
		context.AfterFunc(s.ctx, func() { s.finish(contextStatus(s.ctx.Err())) })
	}
	go s.serve()
	return nil
}

func contextStatus(err error) error { return status.FromContextError(err).Err() }

// change runs f under the lock and wakes up all waiting goroutines.
func (s *stream) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	s.wake()
}

func (s *stream) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// await waits until cond holds, which it calls under the lock, or the context is
// done. The lock is held, before and after.
func (s *stream) await(cond func() bool) bool {
	for !cond() {
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-s.ctx.Done():
			s.mu.Lock()
			return cond()
		}
		s.mu.Lock()
	}
	return true
}

// end sets the stream's final status. The lock is held.
func (s *stream) end(err error, st *status.Status, trailer metadata.MD) {
	if s.over {
		return
	}
	s.over, s.overAt, s.st, s.trailer = true, s.w.now(), st, trailer
	if err != nil {
		s.queue = append(s.queue, item{err: err})
	}
	if !s.headed {
		s.headed, s.bare = true, true
	}
	s.wake()
}

// finish is the client's end of the stream.
func (s *stream) finish(err error) {
	if errors.Is(err, io.EOF) {
		err = nil
	}
	s.finishing.Lock() // also while it calls OnFinish, as grpc-go
	defer s.finishing.Unlock()
	s.mu.Lock()
	if s.finished {
		s.mu.Unlock()
		return
	}
	s.finished, s.finishAt = true, s.w.now()
	s.end(err, status.Convert(err), nil)
	s.finSeq = s.logf(evFinish, "%v", err)
	header, trailer := s.header, s.trailer
	s.mu.Unlock()
	for _, o := range s.opts {
		switch o := o.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = header.Copy()
		case grpc.TrailerCallOption:
			*o.TrailerAddr = trailer
		case grpc.PeerCallOption:
			if p, ok := peer.FromContext(s.ctx); ok {
				*o.PeerAddr = *p
			}
		default:
		}
	}
	s.onFinish(err)
	s.cancel()
}

func (s *stream) onFinish(err error) {
	for _, o := range s.opts {
		if o, ok := o.(grpc.OnFinishCallOption); ok {
			o.OnFinish(err)
		}
	}
}

// Context returns the context of the stream, which is done when the client has seen the end.
func (s *stream) Context() context.Context { return s.ctx }

// Header waits for the header.
func (s *stream) Header() (metadata.MD, error) {
	s.mu.Lock()
	s.awaitHeader()
	if !s.bare {
		md := s.header.Copy()
		s.mu.Unlock()
		return md, nil
	}
	err := s.st.Err()
	s.mu.Unlock()
	s.finish(err)
	return nil, nil
}

// awaitHeader waits for the header. The lock is held.
func (s *stream) awaitHeader() {
	if !s.await(func() bool { return s.headed }) {
		err := contextStatus(s.ctx.Err())
		s.end(err, status.Convert(err), nil)
	}
}

// Trailer returns the trailer, if the stream has ended.
func (s *stream) Trailer() metadata.MD {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trailer
}

// CloseSend half-closes the stream.
func (s *stream) CloseSend() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sending > 0 {
		s.w.violate(ruleMisuse, "CloseSend of stream %d runs concurrently with its SendMsg", s.n)
	}
	if s.sentLast {
		return nil
	}
	s.sentLast = true
	if !s.over {
		s.halved = true
	}
	s.logf(evHalf, "")
	s.wake()
	return nil
}

// SendMsg sends a message.
func (s *stream) SendMsg(msg any) error {
	text := msg.(*testpb.Request).GetText()
	err := s.send(text)
	if err != nil && err != io.EOF {
		s.finish(err)
	}
	if err == nil {
		s.mu.Lock()
		s.accepted++
		s.mu.Unlock()
	}
	s.w.yield()
	return err
}

func (s *stream) send(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sending++; s.sending > 1 {
		s.w.violate(ruleMisuse, "two SendMsg of stream %d run concurrently", s.n)
	}
	defer func() { s.sending-- }()
	if s.sentLast {
		s.logf(evLate, "%s", text)
		return status.Error(codes.Internal, "SendMsg called after CloseSend")
	}
	if !s.desc.ClientStreams {
		s.sentLast = true
	}
	if s.sends++; s.sends == s.sc.PanicSend {
		s.w.panics("the transport panics in SendMsg")
	}
	if s.sends == s.sc.FailSend {
		s.logf(evUnsendable, "%s", text)
		return status.Errorf(codes.ResourceExhausted, "message %s is too large", text)
	}
	s.await(func() bool { return s.over || s.sc.Window == 0 || len(s.inbox) < s.sc.Window })
	if s.over || s.ctx.Err() != nil {
		s.logf(evEOF, "%s", text)
		if !s.desc.ClientStreams {
			return nil // generated code calls RecvMsg for the reason
		}
		return io.EOF
	}
	seq := s.logf(evTaken, "%s", text)
	s.taken = append(s.taken, taken{text, seq, s.w.now()})
	s.inbox = append(s.inbox, text)
	s.halved = !s.desc.ClientStreams
	s.wake()
	return nil
}

// surplus reports whether the client received a second message for a method with
// one response. grpc-go then fails, and does not end its stream.
func (s *stream) surplus() bool { return !s.desc.ServerStreams && len(s.popped) > 1 }

// RecvMsg receives a message, and of a method with one response also the status.
func (s *stream) RecvMsg(msg any) error {
	err := s.receive(msg)
	if err != nil || s.desc.ServerStreams {
		return err
	}
	var second testpb.Response
	err = s.receive(&second)
	if err == nil {
		return status.Error(codes.Internal, "cardinality violation: expected <EOF> for non server-streaming RPCs, "+
			"but received another message")
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (s *stream) receive(msg any) error {
	text, err := s.pop()
	s.w.yield()
	if err != nil {
		s.finish(err)
		return err
	}
	m := msg.(*testpb.Response)
	m.Reset()
	m.Text = text
	return nil
}

func (s *stream) pop() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.receiving++; s.receiving > 1 {
		s.w.violate(ruleMisuse, "two RecvMsg of stream %d run concurrently", s.n)
	}
	defer func() { s.receiving-- }()
	if s.recvs++; s.recvs == s.sc.PanicRecv {
		s.w.panics("the transport panics in RecvMsg")
	}
	s.awaitHeader()
	if s.recvErr == nil && !s.await(func() bool { return len(s.queue) > 0 }) {
		err := contextStatus(s.ctx.Err())
		s.end(err, status.Convert(err), nil)
	}
	if s.recvErr == nil && len(s.queue) == 0 { // it was finished without an error
		s.recvErr = io.EOF
	}
	if s.recvErr == nil {
		it := s.queue[0]
		s.queue = s.queue[1:]
		if it.err == nil {
			s.first = true
			if s.desc.ServerStreams && !s.over && s.ctx.Err() == nil && !s.w.receives() && !s.w.p.droppedInside(it.text) {
				if s.ahead++; s.ahead > 1 {
					s.w.violate(ruleAhead, "stream %d delivers %s, and the application does not receive", s.n, it.text)
				}
			}
			s.popped = append(s.popped, it.text)
			s.logf(evPop, "%s", it.text)
			return it.text, nil
		}
		s.recvErr = it.err
	}
	if s.recvErr != io.EOF {
		return "", s.recvErr
	}
	if err := s.st.Err(); err != nil {
		return "", err
	}
	if !s.desc.ServerStreams && !s.first {
		return "", status.Error(codes.Internal,
			"cardinality violation: received no response message from non-server-streaming RPC")
	}
	return "", io.EOF
}

// serve is the server, which follows the script.
func (s *stream) serve() {
	sent := 0
	for _, e := range s.sc.Events {
		if !s.sleep(e.After) || !s.do(e, &sent) {
			return
		}
	}
}

// sleep reports whether the stream still runs afterwards.
func (s *stream) sleep(d time.Duration) bool {
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-s.ctx.Done():
			return false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.over
}

func (s *stream) do(e srvEvent, sent *int) bool {
	switch e.Do {
	case srvRead:
		for range e.N {
			if _, ok := s.read(); !ok {
				break
			}
		}
	case srvReadAll:
		for {
			if _, ok := s.read(); !ok {
				break
			}
		}
	case srvEcho:
		for {
			if _, ok := s.read(); !ok {
				break
			}
			s.reply(sent)
		}
	case srvHeader:
		s.change(s.sendHeader)
	case srvMessage:
		for range e.N {
			s.reply(sent)
		}
	case srvEnd, srvReset:
		s.change(func() { s.serverEnds(e) })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.over
}

// read reads one message of the client.
func (s *stream) read() (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.await(func() bool { return s.over || len(s.inbox) > 0 || s.halved })
	if s.over || len(s.inbox) == 0 {
		return "", false
	}
	text := s.inbox[0]
	s.inbox = s.inbox[1:]
	s.wake()
	return text, true
}

func (s *stream) sendHeader() {
	if s.headed {
		return
	}
	s.headed = true
	s.header = metadata.Pairs("stream", fmt.Sprint(s.n))
	s.logf(evHeader, "")
}

func (s *stream) reply(sent *int) {
	s.change(func() {
		if s.over {
			return
		}
		s.sendHeader()
		text := fmt.Sprintf("s%d.r%d", s.n, *sent)
		*sent++
		s.queue = append(s.queue, item{text: text})
		s.arrived = append(s.arrived, text)
		s.logf(evArrive, "%s", text)
	})
}

func (s *stream) serverEnds(e srvEvent) {
	if s.over {
		return
	}
	s.byServer = true
	st := status.New(e.Code, "")
	if e.Code != codes.OK {
		st = status.Newf(e.Code, "stream %d ends", s.n)
	}
	var trailer metadata.MD
	if e.Do == srvEnd {
		trailer = metadata.Pairs("trailer", fmt.Sprint(s.n))
	}
	s.logf(evEnd, "%v", e.Code)
	s.end(io.EOF, st, trailer)
}
