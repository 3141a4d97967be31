package streamsim

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
)

// chain builds the chain of the program. An observer is outermost, unless the
// chain is empty.
func (w *world) chain() *hauberk.Chain {
	var list []hauberk.Interceptor
	if len(w.p.Interceptors) > 0 {
		list = append(list, w.newInterceptor(-1, interceptor{}))
	}
	for i, l := range w.p.Interceptors {
		switch l.Kind {
		case interceptorRecovery:
			list = append(list, recovery.New(recovery.Config{}, recovery.WithLogger(slog.New(slog.DiscardHandler))))
		case interceptorWrap, interceptorReopen, interceptorWrapChange:
			x := w.adapter(i, l)
			if w.srv != nil {
				x = serverAdapter(i, l)
			}
			list = append(list, x)
		default:
			list = append(list, w.newInterceptor(i, l))
		}
	}
	return hauberk.Must(hauberk.New(list...))
}

// interceptorRun is an interceptor in one run. All its runs are of one call.
type interceptorRun struct {
	w *world
	i int
	interceptor

	mu       sync.Mutex
	nexts    int // number of calls of next
	active   int // number of running calls of next
	running  int // number of running hooks
	ctx      context.Context
	endedAt  time.Duration // when the last next returned
	thrown   bool          // a panic has left a next
	sends    int
	receives int
	counts   [2]count
	totals   [2]count       // as counts, of TotalReceived and TotalSent
	seen     map[string]int // messages of hooks, and in which next
	commits  bool           // Committed has returned true
}

// count is the last result of Sent or Received, and the attempt: the number of repeated calls of next
// before it. The attempt is -1 while an attempt begins, when counts may or may not have been reset.
type count struct {
	call    *hauberk.Call // inside an interceptor of grpc-go each stream is a call
	attempt int
	n       int64
}

func (w *world) newInterceptor(i int, l interceptor) *interceptorRun {
	r := &interceptorRun{w: w, i: i, interceptor: l}
	w.interceptors = append(w.interceptors, r)
	return r
}

func (r *interceptorRun) log(e event) int {
	e.interceptor = r.i
	return r.w.log(e)
}

// Declare returns only the name of the interceptor.
func (r *interceptorRun) Declare() hauberk.Declaration {
	return hauberk.Declaration{Name: fmt.Sprintf("interceptor%d", r.i+1)}
}

func (r *interceptorRun) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) (err error) {
	r.w.begun()
	r.log(event{what: evEnter})
	err = errors.New("panic")
	defer func() { r.log(event{what: evLeave, err: err}) }()
	var again atomic.Bool
	err = r.body(ctx, call, func(ctx context.Context, call *hauberk.Call) error {
		return r.next(ctx, call, next, again.Swap(true))
	})
	return err
}

// next calls next and checks that hooks run within it only.
func (r *interceptorRun) next(ctx context.Context, call *hauberk.Call, next hauberk.Next, again bool) (err error) {
	r.mu.Lock()
	n := r.nexts
	r.nexts++
	r.active++
	r.ctx = ctx
	r.mu.Unlock()
	r.w.begin(again)
	begin := r.log(event{what: evNext, n: n, call: call, again: again})
	returned := false
	err = errors.New("panic")
	defer func() {
		r.w.begun()
		r.mu.Lock()
		r.active--
		// After a panic without a guard a hook may still run, as a goroutine may. Only a next
		// that returns is checked.
		r.thrown = r.thrown || !returned
		r.endedAt = r.w.now()
		if r.active == 0 && r.running > 0 && !r.thrown && !r.w.p.has(interceptorAbandon) && r.w.srv == nil {
			r.w.violate(ruleHooks, "interceptor %d: next returned while its hook was running", r.i)
		}
		r.mu.Unlock()
		r.log(event{what: evNextEnd, n: n, call: call, err: err, ctxDone: ctx.Err() != nil})
		if r.w.srv == nil || r.streams(false) {
			r.sample(call, true)
		}
		r.sample(call, false)
		r.sampleCommitted(call)
		if returned {
			r.checkCounts(call, begin)
		}
	}()
	err = next(ctx, call)
	returned = true
	return err
}

// abandoned reports whether the interceptor is inside one that leaves its next
// running: then the call has ended, and such a next does not wait for hooks.
func (r *interceptorRun) abandoned() bool {
	if !r.w.p.Kind.ClientStreams() && r.w.p.has(interceptorAbandon) {
		return true // the hooks of outer ones may run on its goroutine, in Read
	}
	return r.i >= 0 && (&program{Interceptors: r.w.p.Interceptors[:r.i+1]}).has(interceptorAbandon)
}

// sample checks the counts of the call.
func (r *interceptorRun) sample(call *hauberk.Call, sent bool) {
	var i int
	var n int64
	if sent {
		i, n = 1, call.Sent()
	} else {
		n = call.Received() // a single response is counted on the goroutine of the chain only
	}
	r.w.mu.Lock()
	attempt := r.w.attempt
	if r.w.beginning {
		attempt = -1
	}
	r.w.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	name := [...]string{"Received", "Sent"}[i]
	last := r.counts[i]
	if n < 0 {
		r.w.violate(ruleCounts, "interceptor %d: %s is %d", r.i, name, n)
	}
	if n < last.n && call == last.call && attempt >= 0 && attempt == last.attempt && r.Kind != interceptorHedge && !r.w.p.has(interceptorHedge, interceptorReopen, interceptorReplyBefore, interceptorReplyNext, interceptorReplyAlways, interceptorReplyAfter, interceptorAbandon) {
		r.w.violate(ruleCounts, "interceptor %d: %s was %d and is %d within one attempt", r.i, name, last.n, n)
	}
	r.counts[i] = count{call, attempt, n}
	if r.w.srv == nil {
		r.sampleTotal(call, i)
	}
}

// sampleTotal checks TotalReceived (0) or TotalSent (1), which do not decrease, also if attempts follow one another
// or run concurrently. The lock is held.
func (r *interceptorRun) sampleTotal(call *hauberk.Call, i int) {
	total := call.TotalReceived // each is safe only for the side whose messages are counted
	if i == 1 {
		total = call.TotalSent
	}
	n := total()
	replies := i == 0 && r.w.p.has(interceptorReplyBefore, interceptorReplyNext, interceptorReplyAlways, interceptorReplyAfter)
	if last := r.totals[i]; call == last.call && n < last.n && !replies {
		name := [...]string{"TotalReceived", "TotalSent"}[i]
		r.w.violate(ruleCounts, "interceptor %d: %s was %d and is %d", r.i, name, last.n, n)
	}
	r.totals[i] = count{call: call, n: n}
}

// checkCounts checks, when the innermost next returns, that the counts are those of
// the stream that was opened in it, or of the one before if a repeated next made no attempt: the
// application may have committed the call since CanAttempt.
func (r *interceptorRun) checkCounts(call *hauberk.Call, begin int) {
	w := r.w
	if w.srv != nil {
		return
	}
	innermost := w.interceptors[len(w.interceptors)-1] == r
	if !innermost || w.p.Invoke || w.misused() ||
		w.p.has(interceptorWrap, interceptorWrapChange, interceptorReopen, interceptorHedge, interceptorAbandon, interceptorReplyBefore, interceptorReplyAlways, interceptorReplyAfter) {
		return
	}
	w.mu.Lock()
	s, again := w.last(), w.events[begin].again
	w.mu.Unlock()
	sent, accepted, received := 0, 0, 0
	if s != nil && (s.openSeq > begin || again && call.Sent()+call.Received() > 0) {
		s.mu.Lock()
		sent, accepted, received = len(s.taken), s.accepted, len(s.popped)
		s.mu.Unlock()
	}
	// A stream that takes no more messages still accepts a single request.
	if n := call.Sent(); n < int64(sent) || n > int64(accepted) {
		w.violate(ruleCounts, "interceptor %d: Sent is %d; the attempt took %d", r.i, call.Sent(), sent)
	}
	// A message that arrives after a hook has ended the attempt, or that is discarded, does not count.
	if n := call.Received(); w.p.Kind.ServerStreams() && n != int64(received) && (n > int64(received) || !w.broke() && !w.p.has(interceptorExpire)) {
		w.violate(ruleCounts, "interceptor %d: Received is %d; the attempt received %d", r.i, call.Received(), received)
	}
}

// sampleCommitted checks the result of the call's method Committed.
func (r *interceptorRun) sampleCommitted(call *hauberk.Call) {
	if r.w.srv != nil {
		return
	}
	delivered := r.w.delivered()
	committed := call.Committed()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.w.p.has(interceptorWrap, interceptorReopen, interceptorWrapChange, interceptorAbandon) {
		return // inside an adapter each stream is a call
	}
	if r.commits && !committed {
		r.w.violate(ruleCommit, "interceptor %d: Committed was true and is false", r.i)
	}
	if delivered != "" && !committed {
		r.w.violate(ruleCommit, "interceptor %d: Committed is false; the application had received %s", r.i, delivered)
	}
	r.commits = committed
}

func (r *interceptorRun) body(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if r.hooked() {
		r.hooks(call)
	}
	switch r.Kind {
	case interceptorPanicBefore:
		r.w.panics("interceptor %d panics before next", r.i)
	case interceptorPanicAfter:
		_ = next(ctx, call)
		r.w.panics("interceptor %d panics after next", r.i)
	case interceptorRetry:
		return r.retry(ctx, call, next)
	case interceptorHedge:
		return r.hedge(ctx, call, next)
	case interceptorReplyBefore:
		return r.reply(call)
	case interceptorReplyNext:
		if err := call.Reply(r.replies()...); err != nil {
			return err
		}
	case interceptorReplyAlways:
		_ = next(ctx, call)
		return r.reply(call)
	case interceptorReplyAfter:
		err := next(ctx, call)
		if err == nil {
			return nil
		}
		return r.reply(call)
	case interceptorAbandon:
		go func() {
			defer func() { _ = recover() }()
			_ = next(ctx, call)
		}()
		_ = wait(ctx, r.D)
		return status.Errorf(r.Code, "interceptor %d returns early", r.i)
	case interceptorReject:
		return status.Errorf(r.Code, "interceptor %d rejects", r.i)
	case interceptorMap:
		if err := next(ctx, call); err != nil {
			return status.Errorf(r.Code, "interceptor %d maps", r.i)
		}
		return nil
	case interceptorDelay:
		if err := wait(ctx, r.D); err != nil {
			return err
		}
	case interceptorTimeout:
		ctx, cancel := context.WithTimeout(ctx, r.D)
		defer cancel()
		return next(ctx, call)
	case interceptorExpire:
		return r.expire(ctx, call, next)
	case interceptorRead:
		if _, err := call.ReadFirst(ctx); err != nil && err != io.EOF {
			return err
		}
	default:
	}
	return next(ctx, call)
}

func (r *interceptorRun) reply(call *hauberk.Call) error {
	r.log(event{what: evReply, n: r.N})
	return call.Reply(r.replies()...)
}

func (r *interceptorRun) replies() []any {
	list := make([]any, 0, r.N)
	for k := range r.N {
		list = append(list, &testpb.Response{Text: fmt.Sprintf("reply%d.%d", r.i, k)})
	}
	return list
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retry calls next again after UNAVAILABLE.
func (r *interceptorRun) retry(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	call.Replayable(r.Limit)
	if r.Header {
		call.CommitOnHeader()
	}
	var err error
	for k := range r.N {
		if k > 0 && wait(ctx, r.D) != nil {
			return err
		}
		err = next(ctx, call)
		if status.Code(err) != codes.Unavailable || !call.CanAttempt() {
			return err
		}
	}
	return err
}

// expire discards the attempt after D, and cancels it 5 D later, unless the call is committed.
func (r *interceptorRun) expire(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	discard, discarded, decided := call.Discardable(), false, make(chan struct{})
	timer := time.AfterFunc(r.D, func() {
		defer close(decided)
		if discarded = discard(); discarded {
			_ = wait(ctx, 5*r.D)
			cancel()
		}
	})
	defer timer.Stop()
	err := next(ctx, call)
	cancel()
	if timer.Stop() {
		return err
	}
	<-decided
	inner := &program{Interceptors: r.w.p.Interceptors[r.i+1:]} // its attempts are discarded too, unless each is a call
	several := r.w.adapted() || r.w.p.has(interceptorAbandon) || !inner.has(interceptorHedge) && r.w.p.has(interceptorHedge)
	if got := r.w.delivered(); discarded && got != "" && r.w.srv == nil && !several {
		r.w.violate(ruleCommit, "interceptor %d: the attempt was discarded, and the application received %s", r.i, got)
	}
	return err
}

// hedge makes attempts on copies and returns the first success, or the last
// failure.
func (r *interceptorRun) hedge(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		attempt  *hauberk.Call
		err      error
		panicked any
	}
	outcomes := make(chan outcome, r.N)
	started := 0
	begin := func() {
		started++
		attempt := call.Attempt()
		go func() {
			o := outcome{attempt: attempt}
			defer func() {
				o.panicked = recover()
				outcomes <- o
			}()
			o.err = next(ctx, attempt)
		}()
	}
	begin()
	timer := time.NewTimer(r.D)
	defer timer.Stop()
	var winner outcome
	won := false
	for ended := 0; ended < started || !won && started < r.N; {
		select {
		case o := <-outcomes:
			ended++
			if o.panicked != nil {
				defer panic(o.panicked)
			}
			if !won && (o.err == nil || ended == r.N || ctx.Err() != nil) {
				winner, won = o, true
				cancel()
			}
			if !won && started < r.N {
				begin()
			}
		case <-timer.C:
			if !won && started < r.N {
				begin()
				timer.Reset(r.D)
			}
		}
	}
	call.Adopt(winner.attempt)
	return winner.err
}

// hooked reports whether the interceptor has hooks.
func (r *interceptorRun) hooked() bool {
	switch r.Kind {
	case interceptorHooks, interceptorDrop, interceptorMultiply, interceptorChange, interceptorFail, interceptorBlock, interceptorPanic, interceptorWait:
		return true
	default:
		return false
	}
}

func (r *interceptorRun) hooks(call *hauberk.Call) {
	if r.Kind == interceptorHooks || !r.Receive {
		r.onSend(call, func(ctx context.Context, msg any, emit func(any) error) error {
			text := textOf(msg)
			defer r.enter(call, text, false)()
			if err := r.act(ctx, call, text, false); err != nil {
				return err
			}
			if r.Kind == interceptorHooks {
				return emit(msg)
			}
			images := r.imageSent(text)
			if !r.streams(false) && len(images) != 1 {
				r.log(event{what: evHookFail, text: text, call: call, err: errSingle})
			}
			for _, image := range images {
				m := msg
				if image != text {
					m = withText(msg, image)
				}
				if err := emit(m); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if r.Kind == interceptorHooks || r.Receive {
		r.onReceive(call, func(ctx context.Context, msg any) (bool, error) {
			before := textOf(msg)
			defer r.enter(call, before, true)()
			if err := r.act(ctx, call, before, true); err != nil {
				return false, err
			}
			text, keep := r.imageReceived(before)
			if !r.streams(true) && !keep {
				r.log(event{what: evHookFail, text: before, call: call, err: errSingle, receive: true})
			}
			if text != before {
				setText(msg, text)
			}
			return keep, nil
		})
	}
}

// onSend registers a hook, with the context of the next that is running if it asks for none.
func (r *interceptorRun) onSend(call *hauberk.Call, hook hauberk.SendContextHook) {
	if r.Kind == interceptorWait {
		call.OnSendContext(hook)
		return
	}
	call.OnSend(func(msg any, emit func(any) error) error { return hook(r.context(), msg, emit) })
}

// onReceive is onSend for a hook that receives.
func (r *interceptorRun) onReceive(call *hauberk.Call, hook hauberk.ReceiveContextHook) {
	if r.Kind == interceptorWait {
		call.OnReceiveContext(hook)
		return
	}
	call.OnReceive(func(msg any) (bool, error) { return hook(r.context(), msg) })
}

// context returns the context that was given to next last.
func (r *interceptorRun) context() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ctx
}

// streams reports whether this side receives, or sends, a stream of messages.
func (r *interceptorRun) streams(receive bool) bool {
	if receive == (r.w.srv == nil) {
		return r.w.p.Kind.ServerStreams()
	}
	return r.w.p.Kind.ClientStreams()
}

func textOf(msg any) string { return msg.(interface{ GetText() string }).GetText() }

func setText(msg any, text string) {
	switch m := msg.(type) {
	case *testpb.Request:
		m.Text = text
	case *testpb.Response:
		m.Text = text
	}
}

// withText returns another message like msg.
func withText(msg any, text string) any {
	if _, ok := msg.(*testpb.Request); ok {
		return &testpb.Request{Text: text}
	}
	return &testpb.Response{Text: text}
}

// errSingle is the error of a call if hooks do not turn the single request into exactly one message, or
// drop the single response.
var errSingle = status.Error(codes.Internal, "a hook drops or multiplies the only message")

// panicked reports whether something has panicked. If nothing guards it, hooks may be
// left in any state.
func (w *world) panicked() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.thrown) > 0
}

// enter records the start of a hook. It returns a function that records the end.
func (r *interceptorRun) enter(call *hauberk.Call, text string, receive bool) func() {
	r.mu.Lock()
	r.running++
	key := fmt.Sprint(text, receive)
	if last, ok := r.seen[key]; ok && last == r.nexts && !r.w.p.has(interceptorHedge, interceptorAbandon) && !r.w.panicked() {
		r.w.violate(ruleOnce, "interceptor %d: a hook saw %s twice in one next", r.i, text)
	}
	if r.seen == nil {
		r.seen = make(map[string]int)
	}
	r.seen[key] = r.nexts
	late := r.w.srv == nil || r.w.now() > r.endedAt // on a server a hook may start while next returns
	if r.active == 0 && !r.thrown && !r.abandoned() && late {
		r.w.violate(ruleHooks, "interceptor %d: a hook started on %s while no next was running", r.i, text)
	}
	r.mu.Unlock()
	r.log(event{what: evHook, text: text, receive: receive})
	if r.w.srv == nil || receive || r.streams(false) {
		r.sample(call, !receive)
	}
	r.sampleCommitted(call)
	return func() {
		r.mu.Lock()
		r.running--
		r.mu.Unlock()
		r.log(event{what: evHookEnd, text: text, receive: receive})
	}
}

// act fails, waits, blocks or panics if it is time to.
func (r *interceptorRun) act(ctx context.Context, call *hauberk.Call, text string, receive bool) error {
	r.mu.Lock()
	n := &r.sends
	if receive {
		n = &r.receives
	}
	*n++
	hit := *n == r.N
	r.mu.Unlock()
	if r.ByText {
		hit = number(text) == r.N
	}
	if !hit {
		return nil
	}
	switch r.Kind {
	case interceptorFail:
		err := status.Errorf(r.Code, "hook %d fails on %s", r.i, text)
		r.log(event{what: evHookFail, text: text, call: call, err: err, receive: receive, ctxDone: ctx.Err() != nil})
		return err
	case interceptorPanic:
		r.w.panics("hook %d panics on %s", r.i, text)
	case interceptorWait:
		return r.wait(ctx, call, text, receive)
	case interceptorBlock:
		if r.D > 0 {
			select {
			case <-time.After(r.D):
			case <-r.w.kill:
			}
			return nil
		}
		select {
		case <-ctx.Done():
		case <-r.w.kill:
		}
	default:
	}
	return nil
}

// wait waits in a hook with a context. The hook needs a while to return the error of the context if Limit is set.
func (r *interceptorRun) wait(ctx context.Context, call *hauberk.Call, text string, receive bool) error {
	var over <-chan time.Time
	if r.D > 0 {
		over = time.After(r.D)
	}
	select {
	case <-over:
		return nil
	case <-r.w.kill:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-time.After(time.Duration(r.Limit)):
	case <-r.w.kill:
	}
	err := status.FromContextError(ctx.Err()).Err()
	r.log(event{what: evHookFail, text: text, call: call, err: err, receive: receive, ctxDone: true})
	return err
}

// number returns the number at the end of a message's first word, or -1.
func number(text string) int {
	n := -1
	if _, err := fmt.Sscanf(text, "m%d", &n); err == nil {
		return n
	}
	var s int
	_, _ = fmt.Sscanf(text, "s%d.r%d", &s, &n)
	return n
}

func hashed(text string) uint32 {
	h := fnv.New32a()
	_, _ = io.WriteString(h, text)
	return h.Sum32() >> 6 // a shift with which the first messages are dropped, kept and multiplied
}

// imageSent returns the messages that an interceptor's send hooks emit for a message.
func (l interceptor) imageSent(text string) []string {
	if l.Receive && l.Kind != interceptorWrapChange {
		return []string{text}
	}
	switch l.Kind {
	case interceptorWrapChange:
		return []string{text + "a"}
	case interceptorDrop:
		if hashed(text)%3 == 0 {
			return nil
		}
	case interceptorMultiply:
		if hashed(text)%3 != 0 {
			return []string{text + "x", text + "y"}
		}
	case interceptorChange:
		return []string{text + "c"}
	default:
	}
	return []string{text}
}

// imageReceived returns the message that an interceptor's receive hooks deliver for a message.
func (l interceptor) imageReceived(text string) (string, bool) {
	switch {
	case l.Kind == interceptorWrapChange:
		return text + "a", true
	case !l.Receive:
	case l.Kind == interceptorDrop:
		return text, hashed(text)%3 != 0
	case l.Kind == interceptorChange:
		return text + "c", true
	}
	return text, true
}

// adapter is an interceptor of grpc-go.
func (w *world) adapter(i int, l interceptor) hauberk.Interceptor {
	unary := func(
		ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
	) error {
		switch l.Kind {
		case interceptorWrapChange:
			err := invoke(ctx, method, changed(req), reply, cc, opts...)
			if err == nil {
				reply.(*testpb.Response).Text += "a"
			}
			return err
		case interceptorReopen:
			if err := invoke(ctx, method, req, reply, cc, opts...); status.Code(err) != codes.Unavailable {
				return err
			}
		default:
		}
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	stream := func(
		ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption,
	) (grpc.ClientStream, error) {
		if l.Kind != interceptorReopen {
			s, err := open(ctx, desc, cc, method, opts...)
			if err != nil {
				return nil, err
			}
			return wrapped{s, l.Kind == interceptorWrapChange}, nil
		}
		return reopen(func() (grpc.ClientStream, error) { return open(ctx, desc, cc, method, opts...) })
	}
	return hauberk.Named(fmt.Sprintf("adapter%d", i), hauberk.FromClient(unary, stream))
}

// reopen opens a stream that opens another when the first fails.
func reopen(open func() (grpc.ClientStream, error)) (_ grpc.ClientStream, err error) {
	r := &reopening{open: open}
	for range 2 {
		if r.ClientStream, err = r.open(); err == nil {
			return r, nil
		}
		if status.Code(err) != codes.Unavailable {
			break
		}
	}
	return nil, err
}

// reopener is a connection with an interceptor of grpc-go that opens streams again.
type reopener struct{ transport }

// NewStream opens a stream.
func (r reopener) NewStream(
	ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return reopen(func() (grpc.ClientStream, error) { return r.transport.NewStream(ctx, desc, method, opts...) })
}

type wrapped struct {
	grpc.ClientStream

	changes bool
}

func (s wrapped) SendMsg(msg any) error {
	if s.changes {
		msg = changed(msg)
	}
	return s.ClientStream.SendMsg(msg)
}

func (s wrapped) RecvMsg(msg any) error {
	err := s.ClientStream.RecvMsg(msg)
	if err == nil && s.changes {
		msg.(*testpb.Response).Text += "a"
	}
	return err
}

func changed(msg any) any { return &testpb.Request{Text: msg.(*testpb.Request).GetText() + "a"} }

// reopening is a stream that opens another when the first fails with UNAVAILABLE
// before a message, as the retry of go-grpc-middleware does.
type reopening struct {
	grpc.ClientStream

	open     func() (grpc.ClientStream, error)
	mu       sync.Mutex
	sent     []*testpb.Request
	closed   bool
	received bool
	reopened bool
	final    error // RecvMsg returns it again
}

func (s *reopening) current() grpc.ClientStream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ClientStream
}

func (s *reopening) SendMsg(msg any) error {
	s.mu.Lock()
	s.sent = append(s.sent, &testpb.Request{Text: msg.(*testpb.Request).GetText()})
	stream := s.ClientStream
	s.mu.Unlock()
	return stream.SendMsg(msg)
}

func (s *reopening) CloseSend() error {
	s.mu.Lock()
	s.closed = true
	stream := s.ClientStream
	s.mu.Unlock()
	return stream.CloseSend()
}

func (s *reopening) RecvMsg(msg any) error {
	for s.final == nil {
		err := s.current().RecvMsg(msg)
		if err == nil {
			s.received = true
			return nil
		}
		if s.received || s.reopened || status.Code(err) != codes.Unavailable {
			s.final = err
			break
		}
		s.reopened = true
		s.final = s.again()
	}
	return s.final
}

// again opens another stream. The interceptors that do this do not lock either
// while they replay, so programs have one goroutine if the chain has one of them. They read the
// messages to replay under their lock, since the chain may receive the end instead of the application,
// and half-close the stream that they opened if the application has closed its side meanwhile. They do not
// half-close one that has not taken all messages.
func (s *reopening) again() error {
	stream, err := s.open()
	if err != nil {
		return err
	}
	s.mu.Lock()
	sent, closed := slices.Clone(s.sent), s.closed
	s.mu.Unlock()
	whole := true
	for _, m := range sent {
		if whole = stream.SendMsg(m) == nil; !whole {
			break // RecvMsg returns the reason
		}
	}
	if closed && whole {
		_ = stream.CloseSend()
	}
	s.mu.Lock()
	s.ClientStream = stream
	meanwhile := s.closed && !closed
	s.mu.Unlock()
	if meanwhile && whole {
		_ = stream.CloseSend()
	}
	return nil
}

func (s *reopening) Context() context.Context { return s.current().Context() }

func (s *reopening) Header() (metadata.MD, error) { return s.current().Header() }

func (s *reopening) Trailer() metadata.MD { return s.current().Trailer() }
