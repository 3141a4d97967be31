package streamsim

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// quiet checks, when all goroutines are idle, that no operation waits although it could continue.
func (s *server) quiet() {
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	hooks := w.hooksRun()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range w.ops {
		o.atBound = !o.done
		if o.done || hooks {
			continue
		}
		if o.do == actReceive && (len(s.inbox) > 0 || s.half || s.ctx.Err() != nil) || o.do == actSend && (s.room() || s.ctx.Err() != nil) {
			w.violations = append(w.violations, violation{ruleBlocked, "waits", fmt.Sprintf(
				"%v%s %s waits; there are %v to receive, and room: %t", o.do, o.who, o.text, s.inbox, s.room())})
		}
	}
}

// check checks the record of a run.
func (s *server) check() {
	w := s.w
	w.checkNexts()
	s.checkPanics()
	if w.bare || w.unguarded() {
		return
	}
	s.checkSent()
	s.checkReceived()
	s.checkOutcome()
	s.checkOwner()
	s.checkEnd()
}

func (s *server) checkPanics() {
	w := s.w
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
	if s.panicked == nil {
		return
	}
	if !w.bare && w.p.has(interceptorRecovery) {
		w.violate(rulePanic, "the call panicked with %v in a chain with recovery", s.panicked)
	} else if !slices.Contains(w.thrown, fmt.Sprint(s.panicked)) {
		w.violate(rulePanic, "the call panicked with %v", s.panicked)
	}
}

// imageOut returns the messages that the hooks of a server make of a message of its handler, from the
// innermost interceptor out to interceptor n.
func (p *program) imageOut(text string) []string {
	return sentThrough(outward(p.Interceptors), text, !p.Kind.ServerStreams())
}

// imageIn returns the message that the hooks make of a message of the client.
func (p *program) imageIn(text string) (string, bool) {
	return receivedThrough(slices.Values(p.Interceptors), text)
}

// replies returns the messages that the outer hooks make of the replies of an interceptor.
func (p *program) replies(e event) []string {
	var list []string
	for k := range e.n {
		list = append(list, sentThrough(outward(p.Interceptors[:e.interceptor]), fmt.Sprintf("reply%d.%d", e.interceptor, k), false)...)
	}
	return list
}

// checkSent checks the messages to the client: the messages of the handler, as changed by the hooks, in
// order, once, and then the replies of the outermost interceptor that replied.
func (s *server) checkSent() {
	w := s.w
	var reply *event
	for _, e := range w.events {
		if e.what == evReply {
			reply = &e
		}
	}
	_, outcome, ended := w.chainEnd()
	if len(w.p.Interceptors) == 0 {
		outcome, ended = s.err, s.served
	}
	rest := s.out
	if !w.p.Kind.ServerStreams() {
		s.checkSingle(reply, outcome, ended)
		return
	}
	for _, o := range w.ops {
		if o.do != actSend {
			continue
		}
		image := w.p.imageOut(o.text)
		n := 0
		for n < len(image) && len(rest) > 0 && rest[0] == image[n] {
			rest = rest[1:]
			n++
		}
		if n < len(image) && o.done && o.err == nil && o.panicked == nil {
			w.violate(rulePrefix, "send%s %s = ok; the client was sent %v", o.who, o.text, s.out)
			return
		}
	}
	var want []string
	if reply != nil {
		want = w.p.replies(*reply)
	}
	for _, e := range w.events { // an adapter sends the replies of inner interceptors
		if e.what != evReply {
			continue
		}
		list := w.p.replies(e)
		if e.interceptor != reply.interceptor && w.p.has(interceptorWrap, interceptorWrapChange) && len(rest) >= len(list) &&
			slices.Equal(rest[:len(list)], list) {
			rest = rest[len(list):]
		}
	}
	if s.ctxDone() && len(rest) > 0 && strings.HasPrefix(rest[0], "reply") {
		return // any part of the replies
	}
	if s.ctxDone() || !ended || outcome != nil { // inside an adapter some may have been sent
		want = want[:min(len(want), len(rest))]
	}
	if !slices.Equal(rest, want) {
		w.violate(rulePrefix, "the client was sent %v; behind what the handler sent it should get %v", s.out, want)
	}
}

// ctxDone reports whether the call may have been cancelled before it ended.
func (s *server) ctxDone() bool {
	return s.serveAt >= bound || slices.ContainsFunc(s.p.Client, func(c clientStep) bool { return c.Do == cliCancel })
}

// checkSingle checks the one response.
func (s *server) checkSingle(reply *event, outcome error, ended bool) {
	w := s.w
	if len(w.p.Interceptors) == 0 || s.ctxDone() {
		return
	}
	var want []string
	if ended && outcome == nil {
		for _, o := range w.ops {
			if o.do == actSend && o.done && o.err == nil && len(want) == 0 {
				want = w.p.imageOut(o.text)
			}
		}
		if reply != nil {
			want = w.p.replies(*reply)
		}
	}
	got := s.out
	if len(got) > 1 && len(want) == 1 {
		got = got[:1] // the client rejects the others
	}
	if !slices.Equal(got, want) {
		w.violate(ruleMessages, "the client was sent %v, want %v", s.out, want)
	}
}

// checkReceived checks the messages that the handler received.
func (s *server) checkReceived() {
	w := s.w
	var want, got []string
	for _, text := range s.sent {
		if w.rejected(text) {
			break
		}
		if image, keep := w.p.imageIn(text); keep {
			want = append(want, image)
		}
	}
	for _, o := range w.ops {
		if o.do == actReceive && o.done && o.err == nil && o.panicked == nil {
			got = append(got, o.text)
		}
	}
	if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
		w.violate(ruleMessages, "the handler received %v; the client had sent what makes %v", got, want)
	}
}

// checkOutcome checks that the client gets the chain's outcome.
func (s *server) checkOutcome() {
	seq, outcome, ended := s.w.chainEnd()
	if len(s.p.Interceptors) == 0 {
		return
	}
	cancelled := outcome == nil && status.Code(s.err) == codes.Canceled && s.ctxDone()
	switch {
	case !ended || seq > s.serveSeq:
		s.w.violate(ruleOutcome, "the call ended with %s, before the chain had returned", short(s.err))
	case !sameStatus(s.err, outcome) && !cancelled:
		s.w.violate(ruleOutcome, "the call ended with %s; the chain returned %s", short(s.err), short(outcome))
	}
}

// checkOwner checks that the next of a hook's interceptor returns the error of the hook, unless the
// handler had returned: the result of a hook that still runs then is discarded.
func (s *server) checkOwner() {
	w := s.w
	failed := make(map[int]bool)
	for i, e := range w.events {
		if e.what != evHookFail || failed[e.interceptor] {
			continue
		}
		failed[e.interceptor] = true
		if s.returned && e.at >= s.returnAt {
			continue
		}
		known := i // when the operation in which it failed has ended
		for _, o := range w.ops {
			if o.startSeq < i && (!o.done || o.endSeq > known) {
				known = o.endSeq
				if !o.done {
					known = len(w.events)
				}
			}
		}
		for _, o := range w.ops {
			single := o.do == actSend && !w.p.Kind.ServerStreams() && e.receive // a held message may have passed the hook before
			if o.startSeq > known && o.done && o.err == nil && o.panicked == nil && !single {
				w.violate(ruleOwner, "hook of interceptor %d failed with %s; later %v%s %s = ok", e.interceptor, short(e.err), o.do, o.who, o.text)
			}
		}
		for _, end := range w.events[i:] {
			if end.what != evNextEnd || end.interceptor != e.interceptor {
				continue
			}
			same := sameStatus(end.err, e.err)
			if e.err == errSingle { //nolint:errorlint // the identical error
				same = status.Code(end.err) == codes.Internal
			}
			if !same && !w.brokenBefore(i, e.interceptor) {
				w.violate(ruleOwner, "hook of interceptor %d failed with %s; its next returned %s", e.interceptor, short(e.err), short(end.err))
			}
			break
		}
	}
}

// brokenBefore reports whether another event ended the leg of an interceptor before.
func (w *world) brokenBefore(at, interceptor int) bool {
	for _, e := range w.events[:at] {
		if e.what == evHookFail && e.interceptor == interceptor || e.what == evPanic {
			return true
		}
	}
	return false
}

// checkEnd checks that the call ends when its handler returns, even if goroutines of the handler still
// run. Hooks that block get a held message when next returns.
func (s *server) checkEnd() {
	if !s.returned || !s.served || s.w.p.has(interceptorBlock, interceptorWait) || s.p.Window > 0 {
		return
	}
	if s.serveAt > s.returnAt {
		s.w.violate(ruleBlocked, "the handler returned at %v; the call ended at %v", s.returnAt, s.serveAt)
	}
}

// compare checks a run against the run on the bare server.
func (s *server) compare(bare *server) {
	if len(bare.out) == 0 && bare.err == nil && !s.p.Kind.ServerStreams() {
		return // without a response a call is not OK here; with grpc-go's server the client says so
	}
	if s.ctxDone() && !s.p.Kind.ServerStreams() {
		return // the response is held, and not sent once the call is cancelled
	}
	end := min(s.comparable(), bare.comparable())
	got, want := s.observed(end), bare.observed(end)
	for i := range max(len(got), len(want)) {
		g, b := "nothing", "nothing"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			b = want[i]
		}
		if g != b {
			s.w.violate(ruleBare, "got  %s\n     bare %s", g, b)
			return
		}
	}
}

// comparable returns the time up to which the results of the handler are compared: until it returns.
func (s *server) comparable() time.Duration {
	if s.returned {
		return s.returnAt
	}
	return math.MaxInt64
}

func (s *server) observed(end time.Duration) []string {
	var list []string
	for i := range len(s.p.Others) + 1 {
		who := strings.Repeat("'", i)
		for _, o := range s.w.ops {
			switch {
			case o.who != who:
			case o.atBound && end == math.MaxInt64:
				list = append(list, fmt.Sprintf("%v%s %s is blocked", o.do, who, o.text))
			case o.done && !o.atBound && o.end < end:
				list = append(list, fmt.Sprintf("%v%s %s = %s at %v", o.do, who, o.text, o.result, o.end))
			}
		}
	}
	out := s.out
	if s.err != nil && !s.p.Kind.ServerStreams() {
		out = nil // it is held until the call is OK
	}
	return append(list, fmt.Sprintf("sent %v", out), fmt.Sprintf("ended with %s at %v, panic: %v", short(s.err), s.serveAt, s.panicked))
}
