package streamsim

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// rule is a rule of docs/streams.md, by its letter, and a name.
type rule string

const (
	ruleOwner    rule = "b owner"
	ruleAgain    rule = "b again"
	ruleCancel   rule = "b cancel"
	ruleStream   rule = "c stream"
	rulePrefix   rule = "c prefix"
	ruleHalf     rule = "c half-close"
	ruleMisuse   rule = "c misuse"
	ruleTaken    rule = "d taken"
	ruleEOF      rule = "d eof"
	ruleCommit   rule = "c commit"
	ruleReply    rule = "e reply"
	ruleOptions  rule = "e options"
	ruleBare     rule = "e bare"
	ruleOutcome  rule = "e outcome"
	ruleFinish   rule = "e finish"
	ruleMessages rule = "e messages"
	ruleHooks    rule = "f hooks"
	ruleOnce     rule = "h once"
	ruleNext     rule = "f next"
	ruleContext  rule = "e context"
	ruleBlocked  rule = "g blocked"
	ruleLeak     rule = "g leak"
	ruleLock     rule = "g lock"
	rulePanic    rule = "g panic"
	ruleCrash    rule = "g crash"
	ruleReplay   rule = "h replay"
	ruleAhead    rule = "h ahead"
	ruleCounts   rule = "i counts"
)

var sentences = map[rule]string{
	ruleOwner:    "If a hook fails, the next of the interceptor that registered it returns the error at once.",
	ruleAgain:    "No inner interceptor makes an attempt after a hook failed.",
	ruleCancel:   "A stream ends when its attempt ends: before the next attempt opens, and when the chain returns.",
	ruleStream:   "The attempt whose outcome the application gets was sent every message for which SendMsg returned nil.",
	rulePrefix:   "An attempt gets the messages of the application, as changed by the hooks, in order, once, from the first.",
	ruleHalf:     "A half-close reaches the attempt after all messages.",
	ruleMisuse:   "SendMsg, and RecvMsg, of a transport's stream is never called concurrently with itself.",
	ruleTaken:    "SendMsg returns nil only if hooks dropped the message or a transport took it.",
	ruleEOF:      "If the call can take no message, SendMsg returns io.EOF, or the error if the call failed in this process.",
	ruleCommit:   "Once the application has received something, the call is committed and makes no other attempt.",
	ruleReply:    "The application receives the replies of the interceptor that answered last.",
	ruleOptions:  "Call options contain the header, the trailer and the peer of the attempt whose outcome the application gets.",
	ruleBare:     "If the chain changes nothing, the application observes the same as on bare grpc-go.",
	ruleOutcome:  "The application gets the outcome of the chain.",
	ruleFinish:   "The application's OnFinish is called once, when the chain has returned, with the chain's outcome.",
	ruleMessages: "The application receives every message that arrived on the attempt whose outcome it gets, and no other.",
	ruleHooks:    "Hooks run only while the next of their interceptor does.",
	ruleOnce:     "Within one next the hooks of its interceptor see a message once, even if inner interceptors repeat it.",
	ruleNext:     "Every next returns.",
	ruleContext:  "The stream's context is done when the call has ended.",
	ruleBlocked:  "No operation of the application is blocked if it can continue or if the call has ended.",
	ruleLeak:     "No goroutine is left once the context is done.",
	ruleLock:     "No goroutine waits for a lock forever.",
	rulePanic:    "The application sees no panics of the library; with recovery it sees none.",
	ruleCrash:    "Nothing ends the process: a panic is raised where the application can recover it.",
	ruleReplay:   "An attempt replays no more than the limit of Replayable.",
	ruleAhead:    "Nothing is received in the application's place from a stream that goes on, except one message with which it begins, and those that hooks inside of an adapter drop.",
	ruleCounts:   "Counts are not negative and do not decrease within an attempt, nor totals within a call.",
}

// stacks returns the goroutines of bubbles that wait in this package or in the library.
func stacks() string {
	if os.Getenv("STREAMSIM_SEED") == "" {
		return "" // they are long
	}
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var out []string
	for g := range strings.SplitSeq(string(buf), "\n\n") {
		if strings.Contains(g, "synctest bubble") && !strings.Contains(g, "streamsim.stacks") {
			out = append(out, g)
		}
	}
	return strings.Join(out, "\n\n")
}

// check checks the record of a run. All goroutines of the run have ended.
func (w *world) check() {
	w.checkNexts()
	w.checkSent()
	w.checkCommit()
	w.checkOutcome()
	w.checkFinish()
	if !w.unguarded() {
		w.checkEnd()
		w.checkOwner()
		w.checkReceived()
		w.checkOptions()
	}
	w.checkReplayed()
	w.checkPanics()
}

// unguarded reports whether something panicked and the chain has no guard.
func (w *world) unguarded() bool { return len(w.thrown) > 0 && !w.p.has(interceptorRecovery) }

func (w *world) checkNexts() {
	for _, r := range w.interceptors {
		r.mu.Lock()
		if r.active > 0 {
			w.violate(ruleNext, "a next of interceptor %d has not returned", r.i)
		}
		r.mu.Unlock()
	}
}

// chainEnd returns the place in the record where the chain returned, and its result.
func (w *world) chainEnd() (seq int, err error, ok bool) { //nolint:revive // err is not the function's
	for i, e := range w.events {
		if e.what == evNextEnd && e.interceptor == -1 {
			return i, e.err, true
		}
	}
	return 0, nil, false
}

// last returns the stream that was opened last. One that an interceptor of grpc-go has opened after the end of
// its attempt is not that of the outcome if another attempt followed.
func (w *world) last() *stream {
	for _, s := range slices.Backward(w.streams) {
		if !s.late {
			return s
		}
	}
	if n := len(w.streams); n > 0 {
		return w.streams[n-1]
	}
	return nil
}

// checkEnd checks that everything ends when the chain does.
func (w *world) checkEnd() {
	for i, s := range w.streams {
		if w.p.Invoke && len(w.thrown) > 0 {
			break
		}
		if i+1 == len(w.streams) || w.streams[i+1].late { // an interceptor of grpc-go opens it after the end of its attempt
			continue
		}
		if !w.p.has(interceptorHedge) && !s.failed && !s.surplus() && s.finishAt > w.streams[i+1].openTime {
			w.violate(ruleCancel, "stream %d ended at %v, after stream %d was opened", i, s.finishAt, i+1)
		}
	}
	seq, _, ok := w.chainEnd()
	if !ok {
		return
	}
	if w.p.Invoke && len(w.thrown) > 0 {
		return // nothing ends the stream of a unary call if the transport panics
	}
	end := w.events[seq].at
	for _, s := range w.streams {
		if !s.failed && !s.surplus() && s.finishAt > end {
			w.violate(ruleCancel, "stream %d ended at %v; the chain returned at %v", s.n, s.finishAt, end)
		}
	}
	for _, o := range w.ops {
		if o.done && o.end > max(o.start, end) {
			r := ruleBlocked
			if o.do == actContext {
				if s := w.last(); s != nil && s.surplus() {
					continue
				}
				r = ruleContext
			}
			if w.p.has(interceptorWrap, interceptorWrapChange, interceptorReopen) && w.p.has(interceptorBlock, interceptorWait) {
				continue // the chain does not wait for a hook inside an adapter
			}
			w.violate(r, "%v%s %s ended at %v; the chain returned at %v", o.do, o.who, o.text, o.end, end)
		}
	}
}

// quiet checks, when all goroutines are idle, that no operation waits although it could continue.
// The lock is held.
func (w *world) quiet() {
	s := w.last()
	if s == nil || s.failed || w.unguarded() || w.p.has(interceptorHedge) || w.hooksRun() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.p.has(interceptorReopen) && s.sending > 0 && s.sc.Window > 0 {
		return // it replays in RecvMsg, so no goroutine receives meanwhile
	}
	violate := func(r rule, format string, args ...any) {
		w.violations = append(w.violations, violation{r, format, fmt.Sprintf(format, args...)})
	}
	pending := false
	misused := w.misusedLocked()
	for _, o := range w.ops {
		if !o.atBound {
			continue
		}
		room := s.sc.Window == 0 || len(s.inbox) < s.sc.Window
		switch {
		case o.do == actReceive && len(s.queue) > 0 && s.desc.ServerStreams:
			violate(ruleBlocked, "receive%s waits; stream %d has %v to receive", o.who, s.n, s.queue)
		case o.do == actReceive && s.over:
			violate(ruleBlocked, "receive%s waits; stream %d is over", o.who, s.n)
		case misused && o.do == actReceive && !w.p.has(interceptorReopen): // it may have opened another stream
			violate(ruleBlocked, "receive%s waits; a SendMsg has ended the call", o.who)
		case o.do == actSend && (s.over || room):
			violate(ruleBlocked, "send %s waits; stream %d is over: %t, has room: %t", o.text, s.n, s.over, room)
		case o.do == actHeader && s.headed && !w.p.Reopens: // it waits for a message, with which the stream goes on
			violate(ruleBlocked, "header%s waits; stream %d has it", o.who, s.n)
		case o.do == actClose, o.do == actOpen, o.do == actTrailer:
			violate(ruleBlocked, "%v%s waits", o.do, o.who)
		}
		pending = pending || o.do == actSend
	}
	if pending || s.over || s.sending > 0 || w.bare {
		return
	}
	if !w.p.Kind.ClientStreams() {
		return
	}
	for _, o := range w.ops {
		if o.do == actClose && o.done && o.panicked == nil && !s.halved {
			violate(ruleHalf, "stream %d was not half-closed", s.n)
			break
		}
	}
	if missing := w.missing(s); missing != "" && !w.p.reopensTwice() {
		violate(ruleStream, "stream %d goes on without %s", s.n, missing)
	}
}

// misused reports whether the application sent after the end of its side.
func (w *world) misused() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.misusedLocked()
}

func (w *world) misusedLocked() bool {
	return slices.ContainsFunc(w.ops, func(o *op) bool {
		return o.done && o.err != nil && strings.Contains(o.err.Error(), "after CloseSend")
	})
}

// hooksRun reports whether a hook is running.
func (w *world) hooksRun() bool {
	for _, r := range w.interceptors {
		r.mu.Lock()
		running := r.running
		r.mu.Unlock()
		if running > 0 {
			return true
		}
	}
	return false
}

// image returns the messages that the hooks of the first n interceptors make of a message.
func (p *program) image(text string, n int) []string {
	return sentThrough(slices.Values(p.Interceptors[:n]), text, !p.Kind.ClientStreams())
}

func (p *program) imageReceived(text string) (string, bool) {
	return receivedThrough(outward(p.Interceptors), text)
}

// droppedInside reports whether receive hooks inside of the outermost interceptor of grpc-go drop a message.
// Its RecvMsg returns the next message that they keep.
func (p *program) droppedInside(text string) bool {
	i := slices.IndexFunc(p.Interceptors, func(l interceptor) bool {
		return l.Kind == interceptorWrap || l.Kind == interceptorWrapChange || l.Kind == interceptorReopen
	})
	if i < 0 {
		return false
	}
	_, keep := receivedThrough(outward(p.Interceptors[i+1:]), text)
	return !keep
}

// outward iterates over interceptors from the inside out.
func outward(interceptors []interceptor) iter.Seq[interceptor] {
	return func(yield func(interceptor) bool) {
		for _, l := range slices.Backward(interceptors) {
			if !yield(l) {
				return
			}
		}
	}
}

// sentThrough returns the messages that send hooks make of a message. It is empty if they do not make
// exactly one of the single message of a method: then the call ends with INTERNAL.
func sentThrough(interceptors iter.Seq[interceptor], text string, single bool) []string {
	list := []string{text}
	for l := range interceptors {
		var next []string
		for _, t := range list {
			next = append(next, l.imageSent(t)...)
		}
		if list = next; single && len(list) != 1 {
			return nil
		}
	}
	return list
}

// receivedThrough returns the message that receive hooks make of a message, and whether they keep it.
func receivedThrough(interceptors iter.Seq[interceptor], text string) (string, bool) {
	for l := range interceptors {
		var keep bool
		if text, keep = l.imageReceived(text); !keep {
			return "", false
		}
	}
	return text, true
}

// missing returns the first message that SendMsg returned nil for and that a stream
// did not take in full.
func (w *world) missing(s *stream) string {
	k := 0
	for _, o := range w.ops {
		if !o.sends() {
			continue
		}
		for _, text := range w.p.image(o.text, len(w.p.Interceptors)) {
			if k < len(s.taken) && s.taken[k].text == text {
				k++
			} else if o.done && o.err == nil && o.panicked == nil {
				return text
			}
		}
	}
	return ""
}

// checkSent checks the messages that the streams took.
func (w *world) checkSent() {
	for _, s := range w.streams {
		w.checkPrefix(s)
	}
	if w.bare {
		return
	}
	final := w.last()
	if w.p.has(interceptorHedge) {
		final = nil
	}
	for _, o := range w.ops {
		if o.sends() && o.done && o.err == nil && o.panicked == nil {
			w.checkTaken(o, final)
		}
	}
	if final != nil && final.halved && !final.failed {
		if missing := w.missing(final); missing != "" && !w.p.reopensTwice() {
			w.violate(ruleStream, "stream %d was half-closed without %s", final.n, missing)
		}
	}
	w.checkEOF()
}

// checkPrefix checks that a stream took a prefix of the messages.
func (w *world) checkPrefix(s *stream) {
	if w.p.has(interceptorReopen) && w.misused() {
		return // it stores messages that are sent after the half-close, and sends them again
	}
	k := 0
	for _, o := range w.ops {
		if !o.sends() {
			continue
		}
		image := w.p.image(o.text, len(w.p.Interceptors))
		if w.bare {
			image = []string{o.text}
		}
		at := 0
		for at < len(image) && k < len(s.taken) && s.taken[k].text == image[at] {
			k++
			at++
		}
		if at < len(image) && k < len(s.taken) && o.err == nil && o.panicked == nil {
			w.violate(rulePrefix, "stream %d was sent %s in place of %s", s.n, s.taken[k].text, image[at])
			return
		}
	}
	if k < len(s.taken) {
		w.violate(rulePrefix, "stream %d was sent %s, which does not follow", s.n, s.taken[k].text)
	}
}

// checkTaken checks that the message of a successful SendMsg was taken.
func (w *world) checkTaken(o *op, final *stream) {
	image := w.p.image(o.text, len(w.p.Interceptors))
	if len(image) == 0 {
		return
	}
	by := func(s *stream) bool {
		n := 0
		for _, t := range s.taken {
			if n < len(image) && t.text == image[n] && t.seq < o.endSeq {
				n++
			}
		}
		return n == len(image)
	}
	if !slices.ContainsFunc(w.streams, by) {
		if !w.p.Kind.ClientStreams() {
			// grpc-go returns nil for the single request even if the stream takes no more
			// messages: generated code calls RecvMsg for the reason.
			return
		}
		w.violate(ruleTaken, "send %s = ok; no stream had taken %v", o.text, image)
		return
	}
	if final != nil && !final.failed && o.startSeq > final.openSeq && !by(final) && w.p.Kind.ClientStreams() {
		w.violate(ruleStream, "send %s = ok; stream %d did not take %v", o.text, final.n, image)
	}
	if len(w.streams) == 1 && !by(w.streams[0]) && w.p.Kind.ClientStreams() {
		w.violate(ruleStream, "send %s = ok; the only stream did not take %v", o.text, image)
	}
}

// checkNotSent checks that a message for which SendMsg returned io.EOF is not sent
// later: the application sends no more, so the attempt would be one of a part of the
// stream. An attempt that was already being fed may go on.
func (w *world) checkNotSent(o *op) {
	if w.p.has(interceptorReopen, interceptorAbandon) || !w.p.Kind.ClientStreams() {
		return
	}
	opened := -1
	for i, e := range w.events {
		switch {
		case e.what == evOpen:
			opened = i
		case e.what == evTaken && e.text == o.text && opened > o.endSeq:
			w.violate(ruleStream, "send %s = EOF; stream %d, which was opened later, took it", o.text, e.n)
			return
		}
	}
}

// checkRetried checks that SendMsg does not return io.EOF if a retry has to make another attempt: its
// stream has ended with UNAVAILABLE before anything was received, and it has kept all messages. Interceptors
// of grpc-go that only pass on do not change that.
func (w *world) checkRetried(o *op) {
	if w.p.Reopens || w.p.Deadline > 0 || o.ctxDone {
		return
	}
	retry, attempts, size := -1, 0, 0
	for i, l := range w.p.Interceptors {
		switch l.Kind {
		case interceptorRetry:
			if retry >= 0 {
				return
			}
			retry = i
		case interceptorPlain, interceptorHooks, interceptorChange, interceptorWrap, interceptorWrapChange, interceptorDelay:
		default:
			return
		}
	}
	if retry < 0 {
		return
	}
	for _, sent := range w.ops {
		switch sent.do {
		case actSend:
			size += proto.Size(&testpb.Request{Text: sent.text}) + len(w.p.Interceptors) + 64 // each hook may add a byte
		case actHeader, actContext, actCancel:
			return // they may commit the call, or end it
		default:
		}
	}
	var last event
	for _, e := range w.events[:o.endSeq] {
		switch e.what {
		case evOpen:
			attempts++
		case evEnd:
			last = e
		case evRejected, evUnsendable, evLate, evArrive, evHeader, evPanic:
			return
		default:
		}
	}
	if l := w.p.Interceptors[retry]; attempts == 1 && last.what == evEnd && last.text == codes.Unavailable.String() && size <= l.Limit {
		w.violate(ruleEOF, "send %s = EOF; the retry has to make another attempt", o.text)
	}
}

// checkEOF checks the errors of SendMsg.
func (w *world) checkEOF() {
	seq, outcome, ended := w.chainEnd()
	closed := false
	for _, o := range w.ops {
		if o.do == actClose || o.do == actSend && !w.p.Kind.ClientStreams() {
			defer func() { closed = true }()
		}
		if o.do != actSend || !o.done || o.panicked != nil || len(w.p.Interceptors) == 0 || w.unguarded() {
			continue
		}
		switch {
		case o.err == nil:
			// The single request is accepted after the end too, as in grpc-go.
			if ended && o.startSeq > seq && w.p.Kind.ClientStreams() {
				w.violate(ruleEOF, "send %s = ok, after the chain had returned", o.text)
			}
		case o.err == io.EOF:
			w.checkNotSent(o)
			w.checkRetried(o)
			// Within a retry the hook may have failed in a replay.
			if failed := w.failedIn(o); failed != nil && ended && outcome != nil && len(w.streams) <= 1 &&
				!w.p.has(interceptorRetry, interceptorReplyAfter, interceptorReplyAlways) {
				w.violate(ruleEOF, "send %s = EOF; a hook failed in it, and the chain returned %s", o.text, short(outcome))
			}
		case strings.Contains(o.err.Error(), "after CloseSend"):
		case w.unsendable(o): // its error is returned even if the call has ended for another reason
		case w.p.has(interceptorReopen, interceptorAbandon): // the call continues, or ends for another reason
		case ended && o.startSeq > seq: // grpc-go encodes the message first
		case w.p.Finish && status.Code(o.err) == codes.Internal: // recovery makes it the outcome
		case o.ctxDone: // the context's error, since SendMsg does not wait for the chain
		case !ended || seq > o.endSeq:
			w.violate(ruleEOF, "send %s = %s, before the chain had returned", o.text, short(o.err))
		case w.adapted() && w.broke(): // the adapter's error, if the call has ended for another reason
		case !sameStatus(o.err, outcome):
			w.violate(ruleEOF, "send %s = %s; the chain returned %s", o.text, short(o.err), short(outcome))
		}
	}
	_ = closed
}

// unsendable reports whether SendMsg returned that its message cannot be encoded, or the error that the
// guard made of a panic while encoding.
func (w *world) unsendable(o *op) bool {
	for _, e := range w.events[o.startSeq:o.endSeq] {
		switch {
		case e.what == evUnsendable && strings.Contains(o.err.Error(), e.text+" is too large"):
			return true
		case e.what == evPanic && strings.HasSuffix(e.text, "in SendMsg") && status.Code(o.err) == codes.Internal:
			return true
		}
	}
	return false
}

// failedIn returns the failure of a send hook within an operation.
func (w *world) failedIn(o *op) error {
	for _, e := range w.events[o.startSeq:o.endSeq] {
		if e.what == evHookFail && !e.receive && !e.ctxDone { // else it may have waited until the end
			return e.err
		}
	}
	return nil
}

// sameStatus reports whether the application got the given outcome.
func sameStatus(got, outcome error) bool {
	if outcome == nil {
		return got == nil || errors.Is(got, io.EOF)
	}
	if got == nil || got == io.EOF {
		return false
	}
	st, ok := status.FromError(outcome)
	if !ok {
		st = status.FromContextError(outcome)
	}
	if status.Code(got) != st.Code() {
		return false
	}
	return !ok || status.Convert(got).Message() == st.Message()
}

// checkOutcome checks that the application got the result of the chain.
func (w *world) checkOutcome() {
	seq, outcome, ended := w.chainEnd()
	if len(w.p.Interceptors) == 0 || w.bare || w.unguarded() {
		return
	}
	for _, o := range w.ops {
		if !o.done || o.panicked != nil || o.do != actReceive && o.do != actOpen && o.do != actInvoke {
			continue
		}
		final := o.err != nil || o.do != actOpen && !w.p.Kind.ServerStreams()
		switch {
		case !final:
		case w.p.Finish && ended: // recovery makes the panic of OnFinish the outcome
			if status.Code(o.err) != codes.Internal && !strings.Contains(o.result, "EOF") {
				w.violate(ruleOutcome, "%v%s = %s; OnFinish panicked", o.do, o.who, o.result)
			}
		case !ended || seq > o.endSeq:
			w.violate(ruleOutcome, "%v%s = %s, before the chain had returned", o.do, o.who, o.result)
		case !sameStatus(o.err, outcome):
			w.violate(ruleOutcome, "%v%s = %s; the chain returned %s", o.do, o.who, o.result, short(outcome))
		}
	}
}

// checkOwner checks that hooks' errors end the legs of their interceptors.
func (w *world) checkOwner() {
	if w.p.has(interceptorHedge, interceptorAbandon) { // an abandoned call ends with the result of the interceptor that abandoned it
		return
	}
	for i, e := range w.events {
		if e.what == evHookFail && !e.ctxDone {
			w.checkFailure(i, e)
		}
	}
}

func (w *world) checkFailure(at int, fail event) {
	begin, end := -1, -1
	for i, e := range w.events {
		if e.interceptor != fail.interceptor || e.call != fail.call {
			continue
		}
		if e.what == evNext && i < at {
			begin = i
		}
		if e.what == evNextEnd && i > at && end < 0 {
			end = i
		}
	}
	if begin < 0 || end < 0 {
		return // another rule is broken
	}
	inner, others := false, false
	for i, e := range w.events[begin:end] {
		before := begin+i < at
		switch {
		case e.what == evLeave && e.interceptor > fail.interceptor && before && w.nextInner(fail.interceptor) == e.interceptor,
			e.what == evFinish && before && w.nextInner(fail.interceptor) < 0 && e.n == len(w.streams)-1:
			inner = true // the leg had ended
		case e.what == evHookFail && e.interceptor < fail.interceptor, e.what == evHookFail && e.interceptor == fail.interceptor && before, e.what == evPanic:
			inner = true // another failure came first, or ends the leg from outside
		case e.what == evHook && !before, e.what == evHook && before && w.p.has(interceptorBlock, interceptorWait):
			others = true
		case e.what == evOpen && !before && e.at > fail.at:
			w.violate(ruleAgain, "hook of interceptor %d failed at %v; stream %d was opened at %v", fail.interceptor, fail.at, e.n, e.at)
		}
	}
	e := w.events[end]
	same := sameStatus(e.err, fail.err)
	if fail.err == errSingle { //nolint:errorlint // the identical error
		same = status.Code(e.err) == codes.Internal
	}
	if !inner && !e.ctxDone && !same {
		w.violate(ruleOwner, "hook of interceptor %d failed with %s; its next returned %s", fail.interceptor, short(fail.err), short(e.err))
	}
	if !others && e.at > fail.at {
		w.violate(ruleOwner, "hook of interceptor %d failed at %v; its next returned at %v", fail.interceptor, fail.at, e.at)
	}
}

// nextInner returns the next inner interceptor in the record.
func (w *world) nextInner(interceptor int) int {
	for _, r := range w.interceptors {
		if r.i > interceptor {
			return r.i
		}
	}
	return -1
}

// checkReceived checks the messages that the application received.
//

func (w *world) checkReceived() {
	var got []string
	var end *op
	for _, o := range w.ops {
		switch {
		case o.do != actReceive && o.do != actInvoke || !o.done || o.panicked != nil:
		case o.do == actInvoke && o.err == nil:
			got = append(got, o.reply)
		case o.err == nil:
			got = append(got, o.text)
		case end == nil:
			end = o
		}
	}
	w.checkReplies(got, end)
	if w.bare {
		return
	}
	s := w.last()
	if w.p.has(interceptorHedge) {
		w.checkWinner(got)
		return
	}
	want := w.wanted(s)
	n := 0
	for n < len(got) && n < len(want) && got[n] == want[n] {
		n++
	}
	for _, text := range got[n:] {
		if !strings.HasPrefix(text, "reply") {
			w.violate(ruleMessages, "received %v; the messages that arrived are %v", got, want)
			return
		}
	}
	if end == nil || s == nil || s.failed || !s.byServer || !w.p.Kind.ServerStreams() {
		return
	}
	replies := w.p.has(interceptorReplyBefore, interceptorReplyAfter, interceptorReplyAlways)
	if end.err == io.EOF && slices.ContainsFunc(s.arrived, w.rejected) && !replies {
		w.violate(ruleMessages, "received %v and EOF; a hook failed on one of the messages that arrived: %v", got, s.arrived)
	}
	if n == len(want) {
		return
	}
	if replies && (w.hookFailed() || w.p.has(interceptorAbandon, interceptorExpire)) {
		return // the stream ended with the hook, or was discarded, and later messages of the stream are not received
	}
	if w.p.has(interceptorExpire) && status.Code(end.err) == codes.Canceled {
		return // the status of the server is that of the attempt which is cancelled
	}
	if sameStatus(end.err, s.st.Err()) {
		w.violate(ruleMessages, "received %v and %s; the messages that arrived are %v", got, short(end.err), want)
	}
}

// wanted returns the messages of a stream as changed by the hooks.
func (w *world) wanted(s *stream) []string {
	if s == nil {
		return nil
	}
	var want []string
	for _, text := range s.arrived {
		if w.rejected(text) {
			break // messages on which a receive hook failed, and later ones, are not delivered
		}
		if image, keep := w.p.imageReceived(text); keep {
			want = append(want, image)
		}
	}
	return want
}

// checkWinner checks that all messages that the application received are of one attempt.
func (w *world) checkWinner(got []string) {
	for len(got) > 0 && strings.HasPrefix(got[len(got)-1], "reply") {
		got = got[:len(got)-1]
	}
	var all [][]string
	for _, s := range w.streams {
		want := w.wanted(s)
		if len(got) <= len(want) && slices.Equal(got, want[:len(got)]) {
			return
		}
		all = append(all, want)
	}
	if len(got) > 0 {
		w.violate(ruleMessages, "received %v; the messages that arrived are %v", got, all)
	}
}

// rejected reports whether a receive hook failed on a message.
func (w *world) rejected(text string) bool {
	for _, e := range w.events {
		if e.what == evHookFail && e.receive && strings.HasPrefix(e.text, text) {
			return true
		}
	}
	return false
}

// adapted reports whether the chain has an interceptor of grpc-go.
func (w *world) adapted() bool {
	return w.p.has(interceptorWrap, interceptorWrapChange, interceptorReopen)
}

// broke reports whether an attempt may have ended by an error in this process.
func (w *world) broke() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.events, func(e event) bool {
		return e.what == evHookFail || e.what == evPanic || e.what == evUnsendable
	})
}

func (w *world) hookFailed() bool {
	return slices.ContainsFunc(w.events, func(e event) bool { return e.what == evHookFail || e.what == evPanic })
}

// checkFinish checks the argument of the application's OnFinish. On bare grpc-go it gets the context's
// error even if the application then receives messages that had arrived. Here it gets the same result
// as the application, so the two are not compared.
func (w *world) checkFinish() {
	if w.bare || w.unguarded() {
		return
	}
	seq, outcome, ended := w.chainEnd()
	n := 0
	for i, e := range w.events {
		if e.what != evFinishOption {
			continue
		}
		if n++; n > 1 {
			w.violate(ruleFinish, "OnFinish was called %d times", n)
		}
		if len(w.p.Interceptors) == 0 {
			continue
		}
		if !ended || i < seq {
			w.violate(ruleFinish, "OnFinish was called before the chain had returned")
		} else if !sameStatus(e.err, outcome) {
			w.violate(ruleFinish, "OnFinish got %s; the chain returned %s", short(e.err), short(outcome))
		}
	}
	if n == 0 && ended {
		w.violate(ruleFinish, "OnFinish was not called")
	}
}

// checkReplies checks that the application got the last replies of an interceptor.
func (w *world) checkReplies(got []string, end *op) {
	seq, outcome, ended := w.chainEnd()
	if !ended || outcome != nil || w.bare || w.p.Finish || w.p.has(interceptorHedge, interceptorAbandon) || end != nil && end.err != io.EOF {
		return
	}
	if w.p.Kind.ServerStreams() && end == nil || len(got) == 0 && !w.p.Kind.ServerStreams() {
		return // it did not receive everything
	}
	at, r := -1, event{}
	for i, e := range w.events[:seq] { // inside an adapter a chain may end later than this
		switch e.what {
		case evReply:
			at, r = i, e
		case evNext:
			if e.interceptor < r.interceptor {
				at = -1 // another attempt was made
			}
		default:
		}
	}
	if at < 0 {
		return
	}
	var want []string
	for k := range r.n {
		if image, keep := receivedThrough(outward(w.p.Interceptors[:r.interceptor]), fmt.Sprintf("reply%d.%d", r.interceptor, k)); keep {
			want = append(want, image)
		}
	}
	if tail := got[max(0, len(got)-len(want)):]; !slices.Equal(tail, want) {
		w.violate(ruleReply, "received %v; interceptor %d replied %v", got, r.interceptor, want)
	}
}

// delivered returns an operation in which the application received something of an attempt.
func (w *world) delivered() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.ops {
		if o.done && w.commits(o) {
			return o.text + o.result
		}
	}
	return ""
}

// commits reports whether the application received something of an attempt in an operation.
func (w *world) commits(o *op) bool {
	switch {
	case o.err != nil || o.panicked != nil:
		return false
	case o.do == actReceive:
		return w.p.Kind.ServerStreams() && strings.HasPrefix(o.text, "s")
	default:
		return o.do == actHeader && o.result != "map[]"
	}
}

// checkCommit checks that no attempt follows after the application has received something.
func (w *world) checkCommit() {
	if w.p.has(interceptorReopen, interceptorHedge) { // a concurrent attempt loses
		return
	}
	for _, o := range w.ops {
		var from int
		if _, err := fmt.Sscanf(o.result[strings.LastIndex(o.result, " ")+1:], "stream%d", &from); o.do == actContext && err == nil {
			for _, s := range w.streams[from+1:] {
				if s.openSeq > o.startSeq {
					w.violate(ruleCommit, "context%s is that of stream %d; then stream %d was opened", o.who, from, s.n)
				}
			}
		}
		for _, s := range w.streams {
			if o.done && w.commits(o) && s.openSeq > o.endSeq {
				w.violate(ruleCommit, "%v%s = %s%s; then stream %d was opened", o.do, o.who, o.text, o.result, s.n)
			}
		}
	}
}

// checkOptions checks the results of call options.
func (w *world) checkOptions() {
	if !w.p.Options || w.bare || w.p.has(interceptorHedge, interceptorReopen, interceptorAbandon) || w.p.has(interceptorReplyAfter, interceptorReplyAlways) && w.hookFailed() {
		return
	}
	got := w.options.String()
	_, outcome, ended := w.chainEnd()
	s := w.last()
	if !ended || s == nil || s.failed || !s.byServer || s.recvErr == nil || !sameStatus(outcome, s.st.Err()) {
		return
	}
	if s.trailer != nil && texts(w.options.trailer) != texts(s.trailer) {
		w.violate(ruleOptions, "the options have %s; the trailer of stream %d is %s", got, s.n, texts(s.trailer))
	}
	if s.header != nil && texts(w.options.header) != texts(s.header) {
		w.violate(ruleOptions, "the options have %s; the header of stream %d is %s", got, s.n, texts(s.header))
	}
	if !strings.HasSuffix(got, fmt.Sprintf("stream%d", s.n)) {
		w.violate(ruleOptions, "the options have %s; the peer of stream %d is another", got, s.n)
	}
}

// checkReplayed checks that a buffer contained no more than its limit.
func (w *world) checkReplayed() {
	if w.p.has(interceptorReopen) || !w.p.Kind.ClientStreams() {
		return
	}
	for i := 1; i < len(w.streams); i++ {
		s := w.streams[i]
		r := w.retryOf(s.openSeq)
		if r < 0 {
			continue
		}
		size := 0
		for _, o := range w.ops {
			if o.do == actSend && o.done && o.err == nil && o.panicked == nil && o.endSeq < s.openSeq {
				for _, text := range w.p.image(o.text, r) {
					size += proto.Size(&testpb.Request{Text: text}) + 64 // documented on Call.Replayable
				}
			}
		}
		if slices.ContainsFunc(w.p.Interceptors[:r], func(l interceptor) bool { return l.Kind == interceptorWrap || l.Kind == interceptorWrapChange }) {
			continue // the stream inside an adapter may be a new one, which took no messages
		}
		if limit := w.p.Interceptors[r].Limit; size > limit {
			w.violate(ruleReplay, "stream %d was opened when %d bytes had been sent; interceptor %d may keep %d", i, size, r, limit)
		}
	}
}

// retryOf returns the retry that made the attempt that a stream was opened for.
func (w *world) retryOf(seq int) int {
	for _, e := range slices.Backward(w.events[:seq]) {
		if e.what == evNext && e.again && e.interceptor >= 0 && w.p.Interceptors[e.interceptor].Kind == interceptorRetry {
			return e.interceptor
		}
	}
	return -1
}

func (w *world) checkPanics() {
	for _, o := range w.ops {
		if o.panicked == nil {
			continue
		}
		if !w.bare && w.p.has(interceptorRecovery) {
			w.violate(rulePanic, "%v%s panicked with %v in a chain with recovery", o.do, o.who, o.panicked)
		} else if !slices.Contains(w.thrown, fmt.Sprint(o.panicked)) {
			w.violate(rulePanic, "%v%s panicked with %v", o.do, o.who, o.panicked)
		}
	}
}

// compare checks a run against the run on the bare transport.
func (w *world) compare(bare *world) {
	end := min(w.comparable(), bare.comparable())
	got, want := w.observed(end), bare.observed(end)
	for i := range max(len(got), len(want)) {
		g, b := "nothing", "nothing"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			b = want[i]
		}
		if g != b {
			w.violate(ruleBare, "got  %s\n     bare %s", g, b)
			return
		}
	}
	w.comparePanics(bare)
}

// comparePanics checks that a panic of opening or sending is raised in the operation
// in which grpc-go raises it.
func (w *world) comparePanics(bare *world) {
	got, want := w.firstPanic(), bare.firstPanic()
	if want == nil || want.do == actReceive || want.do == actHeader {
		return
	}
	if s := bare.last(); want.do == actSend && s.overAt < want.start {
		return // the transport does not get it
	}
	if bare.surplusAt() <= want.start {
		return // grpc-go has not ended the stream, and here it has: the steps after that have other times
	}
	if got == nil || got.do != want.do || got.text != want.text || got.end != want.end {
		w.violate(ruleBare, "bare %v%s %s = %s at %v; it is not raised there", want.do, want.who, want.text, want.result, want.end)
	}
}

// firstPanic returns the first operation that panicked.
func (w *world) firstPanic() *op {
	var first *op
	for _, o := range w.ops {
		if o.panicked != nil && (first == nil || o.endSeq < first.endSeq) {
			first = o
		}
	}
	return first
}

// surplusAt returns when the application received the error of a second message for a method with one response.
func (w *world) surplusAt() time.Duration {
	at := time.Duration(math.MaxInt64)
	for _, o := range w.ops {
		if o.done && strings.Contains(o.result, "but received another message") {
			at = min(at, o.end)
		}
	}
	return at
}

// comparable returns the time up to which a run is compared with the bare run.
// After a second message for a method with one response grpc-go fails once, does not
// end its stream, and then returns io.EOF; here each RecvMsg fails. After a panic in
// the transport hooks and streams may be in a state that differs, and here it may be
// raised in another operation, since another goroutine may receive.
func (w *world) comparable() time.Duration {
	end := time.Duration(math.MaxInt64)
	for _, o := range w.ops {
		if o.done && o.panicked != nil {
			end = min(end, o.end)
		}
	}
	end = min(end, w.surplusAt())
	for _, e := range w.events {
		if e.what == evPanic || e.what == evLate && w.p.Reopens {
			end = min(end, e.at)
		}
	}
	// If an operation other than RecvMsg meets the end of a stream, the library receives that, and the
	// connection opens another stream earlier than on bare grpc-go.
	for _, o := range w.ops {
		if w.p.Reopens && o.do == actHeader && o.result == "map[]" {
			end = min(end, o.start)
		}
	}
	// On a stream that has ended, grpc-go encodes the message, and the library does not. Behind an
	// interceptor of grpc-go, a message that cannot be encoded ends the call at once: the stream may
	// continue, so messages that had arrived cannot be received.
	for _, e := range w.events {
		if e.what == evUnsendable && (w.p.has(interceptorWrap) || w.bare && w.streams[e.n].over && w.streams[e.n].overAt < e.at) {
			end = min(end, e.at)
		}
	}
	return end
}

// received reports whether the application received the end.
func (w *world) received() bool {
	return slices.ContainsFunc(w.ops, func(o *op) bool {
		return o.done && !o.atBound && (o.do == actInvoke || o.do == actReceive && o.err != nil)
	})
}

// observed returns the results that the application observed up to a time, by goroutine.
func (w *world) observed(end time.Duration) []string {
	var list []string
	for _, who := range []string{"", "'"} {
		for _, o := range w.ops {
			switch {
			case o.who != who:
			case o.atBound && end == math.MaxInt64:
				list = append(list, fmt.Sprintf("%v%s %s is blocked", o.do, who, o.text))
			case o.done && !o.atBound && o.end < end:
				list = append(list, fmt.Sprintf("%v%s %s = %s at %v", o.do, who, o.text, o.result, o.end))
			}
		}
	}
	if w.p.Options && end == math.MaxInt64 && w.received() {
		list = append(list, "options: "+w.options.String())
	}
	return list
}
