package streamsim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

const (
	bound = time.Minute      // fake time after which the application gives up; much longer than everything else
	grace = 10 * time.Second // fake time in which everything ends once the context is done
)

// op is an operation of the application.
type op struct {
	who        string // "" for the first goroutine, "'" for the second
	do         action
	text       string
	reply      string // of Invoke
	start, end time.Duration
	startSeq   int
	endSeq     int
	done       bool
	result     string
	err        error
	panicked   any
	ctxDone    bool // the application's context was done at the end
	atBound    bool // it was still running when the application gave up
}

// sends reports whether the operation sends a message.
func (o *op) sends() bool { return o.do == actSend || o.do == actInvoke }

// app is the application of a run.
type app struct {
	w      *world
	conn   grpc.ClientConnInterface
	ctx    context.Context
	cancel context.CancelFunc
	stream grpc.ClientStream
	sent   int
}

// options are the results of the application's call options.
type options struct {
	header, trailer metadata.MD
	peer            peer.Peer
}

func (o *options) String() string {
	from := "no one"
	if o.peer.Addr != nil {
		from = o.peer.Addr.String()
	}
	return fmt.Sprintf("header %s, trailer %s, from %s", texts(o.header), texts(o.trailer), from)
}

// order is a source of randomness in which the runs of a program differ.
var order atomic.Uint64

// run runs a program once, on the bare transport or through its chain.
func run(t *testing.T, p *program, bare bool) *world {
	w := &world{p: p, bare: bare, rand: rand.New(rand.NewPCG(p.Seed, order.Add(1)))}
	runBubble(t, w, w.run)
	return w
}

// runBubble runs a program in a bubble of fake time.
func runBubble(t *testing.T, w *world, body func()) {
	done, o := make(chan struct{}), &observer{}
	go func() {
		defer close(done)
		defer func() {
			if r := recover(); r != nil {
				w.violate(ruleLeak, "%v\n%s", r, stacks())
			}
		}()
		synctest.Test(t, func(*testing.T) {
			o.enter()
			body()
		})
	}()
	if why := w.awaitEnd(done, o); why != "" {
		w.violate(ruleLock, "%s\n%s", why, stacks())
	}
}

func (w *world) run() {
	w.start = time.Now()
	w.kill = make(chan struct{}) // of this bubble
	a := &app{w: w, conn: transport{w}}
	if w.p.Reopens {
		a.conn = reopener{transport{w}}
	}
	if !w.bare {
		a.conn = w.chain().ClientConn(a.conn)
	}
	ctx := context.Background()
	a.ctx, a.cancel = context.WithCancel(ctx)
	if w.p.Deadline > 0 {
		a.ctx, a.cancel = context.WithTimeout(ctx, w.p.Deadline)
	}
	defer a.cancel()
	over := make(chan struct{})
	go func() {
		defer close(over)
		a.run()
	}()
	select {
	case <-over:
		synctest.Wait()
	case <-time.After(bound):
		w.atBound()
	}
	w.stop(a.cancel)
	close(w.kill)
}

// stop cancels the call when the steps of a program are over, and checks that nothing is
// blocked then.
func (w *world) stop(cancel context.CancelFunc) {
	w.log(event{what: evOver})
	cancel()
	time.Sleep(grace)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.ops {
		if !o.done {
			w.violations = append(w.violations, violation{ruleBlocked, "after", fmt.Sprintf(
				"%v%s is blocked %v after the context was done\n%s", o.do, o.who, grace, stacks())})
		}
	}
}

// options returns the call options of the application.
func (a *app) options() []grpc.CallOption {
	opts := []grpc.CallOption{grpc.OnFinish(a.onFinish)}
	if o := &a.w.options; a.w.p.Options {
		opts = append(opts, grpc.Header(&o.header), grpc.Trailer(&o.trailer), grpc.Peer(&o.peer))
	}
	return opts
}

// invoke makes a unary call.
func (a *app) invoke() {
	o := a.begin(actInvoke, "", false)
	a.do(o, func() (string, error) {
		req, reply := &testpb.Request{Text: o.text}, &testpb.Response{Text: "untouched"}
		err := a.conn.Invoke(a.ctx, hauberktest.FullMethod(a.w.p.Kind), req, reply, a.options()...)
		if err != nil {
			return "", err
		}
		o.reply = reply.GetText()
		return o.reply, nil
	})
}

// run runs the steps of the application.
func (a *app) run() {
	if a.w.p.Invoke {
		a.invoke()
		return
	}
	o := a.begin(actOpen, "", false)
	a.do(o, func() (string, error) {
		kind := a.w.p.Kind
		desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
		var err error
		a.stream, err = a.conn.NewStream(a.ctx, desc, hauberktest.FullMethod(kind), a.options()...)
		return "", err
	})
	if a.stream == nil {
		return
	}
	var wg sync.WaitGroup
	if a.w.p.Receiver != nil {
		wg.Go(func() { a.steps("'", a.w.p.Receiver) })
	}
	a.steps("", a.w.p.Sender)
	wg.Wait()
}

func (a *app) onFinish(err error) {
	a.w.log(event{what: evFinishOption, text: short(err), err: err})
	if a.w.p.Finish {
		a.w.panics("OnFinish panics")
	}
}

func (a *app) steps(who string, list []step) {
	for _, s := range list {
		if s.After > 0 {
			time.Sleep(s.After)
		}
		a.step(who, s)
	}
}

func (a *app) begin(do action, who string, big bool) *op {
	o := &op{who: who, do: do}
	if o.sends() {
		o.text = fmt.Sprintf("m%d", a.sent)
		if big {
			o.text += "-big-message-"
		}
		a.sent++
	}
	o.start = a.w.now()
	o.startSeq = a.w.log(event{what: evOp, text: fmt.Sprintf("%v%s %s starts", do, who, o.text)})
	a.w.mu.Lock()
	a.w.ops = append(a.w.ops, o)
	a.w.mu.Unlock()
	return o
}

// do runs an operation and records how it ends.
func (a *app) do(o *op, f func() (string, error)) {
	defer func() {
		o.panicked = recover()
		if o.panicked != nil {
			o.result = fmt.Sprintf("panic: %v", o.panicked)
		}
		seq := a.w.log(event{what: evOpEnd, text: fmt.Sprintf("%v%s %s = %s", o.do, o.who, o.text, o.result)})
		a.w.mu.Lock()
		o.end, o.endSeq, o.done = a.w.events[seq].at, seq, true
		o.ctxDone = a.ctx != nil && a.ctx.Err() != nil
		a.w.mu.Unlock()
	}()
	text, err := f()
	o.result, o.err = text, err
	if err != nil {
		o.result = short(err)
	}
}

func (a *app) step(who string, s step) {
	do := s.Do
	if do == actDrain {
		for range 50 { // more than each script sends
			if o := a.receive(who); o.err != nil || o.panicked != nil {
				return
			}
			if !a.w.p.Kind.ServerStreams() {
				return
			}
		}
		return
	}
	if do == actReceive {
		a.receive(who)
		return
	}
	o := a.begin(do, who, s.Big)
	a.do(o, func() (string, error) {
		switch do {
		case actSend:
			msg := &testpb.Request{Text: o.text}
			defer func() { msg.Text = "reused" }() // the application owns the message again
			return "ok", a.stream.SendMsg(msg)
		case actClose:
			return "ok", a.stream.CloseSend()
		case actHeader:
			md, err := a.stream.Header()
			return texts(md), err
		case actTrailer:
			return texts(a.stream.Trailer()), nil
		case actContext:
			ctx := a.stream.Context()
			select {
			case <-ctx.Done():
			case <-a.w.kill:
				return "killed", nil
			}
			from := "no one"
			if p, ok := peer.FromContext(ctx); ok {
				from = p.Addr.String()
			}
			return fmt.Sprint(ctx.Err(), " from ", from), nil
		case actCancel:
			a.cancel()
			return "ok", nil
		default:
			panic("streamsim: no such action")
		}
	})
}

func (a *app) receive(who string) *op {
	o := a.begin(actReceive, who, false)
	a.do(o, func() (string, error) {
		msg := &testpb.Response{Text: "untouched"}
		err := a.stream.RecvMsg(msg)
		if err == nil {
			o.text = msg.GetText()
		}
		return "", err
	})
	if o.err != nil {
		trailer := a.begin(actTrailer, who, false)
		a.do(trailer, func() (string, error) {
			return texts(a.stream.Trailer()), nil
		})
	}
	return o
}

// texts returns metadata as text. The String method of metadata.MD redacts it.
func texts(md metadata.MD) string { return fmt.Sprint(map[string][]string(md)) }

// atBound checks the operations that have not ended when all goroutines are idle.
func (w *world) atBound() {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.ops {
		o.atBound = !o.done
	}
	w.quiet()
}

// short returns the text of an error without the prefix of statuses.
func short(err error) string {
	switch {
	case err == nil:
		return "nil"
	case errors.Is(err, io.EOF):
		return "EOF"
	}
	st, ok := status.FromError(err)
	if !ok {
		return err.Error()
	}
	if st.Code() == codes.OK {
		return "OK"
	}
	return st.Code().String() + " (" + st.Message() + ")"
}
