package streamsim

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hauberk-rpc/hauberk"
)

// eventKind is the kind of an entry of a record.
type eventKind uint8

const (
	evOp eventKind = iota // the application starts an operation
	evOpEnd
	evOpen // the chain opens a stream of the transport
	evRejected
	evTaken      // the transport takes a message
	evEOF        // the transport does not take a message
	evUnsendable // a message cannot be encoded
	evLate       // a message after the half-close
	evHalf
	evPop // a message is received from the transport
	evFinish
	evHeader
	evArrive // the server sends a message
	evEnd    // the server ends the stream
	evEnter  // an interceptor starts
	evLeave
	evNext
	evNextEnd
	evHook
	evHookEnd
	evHookFail
	evReply
	evPanic
	evOver // the steps of the application are over
	evFinishOption
)

var eventNames = [...]string{
	"", "", "opened", "is rejected", "takes", "does not take", "cannot encode", "is sent after the half-close", "half-closed", "delivers",
	"finished", "header arrives", "message arrives", "the server ends", "starts", "returns", "calls next", "next returns",
	"hook starts on", "hook ends on", "hook fails with", "replies", "panics", "the steps of the application are over", "OnFinish",
}

// event is an entry of a record. Its place in the record is its sequence number.
type event struct {
	what        eventKind
	at          time.Duration
	interceptor int // of interceptors and hooks; -1 is the observer
	n           int // of a stream, a call of next, or an operation
	text        string
	call        *hauberk.Call // of next and failing hooks; inside an interceptor of grpc-go each stream is a call
	err         error

	receive bool // of hooks
	again   bool // of a next that is not the interceptor's first
	ctxDone bool // the context of the running next was done
}

func (e event) String() string {
	subject := ""
	switch e.what {
	case evOp:
		return fmt.Sprintf("application: %s", e.text)
	case evOpEnd:
		return fmt.Sprintf("application: %s", e.text)
	case evOpen, evRejected, evTaken, evEOF, evUnsendable, evLate, evHalf, evPop, evFinish, evHeader, evArrive, evEnd:
		subject = fmt.Sprintf("stream %d ", e.n)
	case evEnter, evLeave, evReply:
		subject = fmt.Sprintf("interceptor %d ", e.interceptor)
	case evNext, evNextEnd:
		subject = fmt.Sprintf("interceptor %d #%d ", e.interceptor, e.n)
	case evHook, evHookEnd, evHookFail:
		dir := "send"
		if e.receive {
			dir = "receive"
		}
		subject = fmt.Sprintf("interceptor %d %s ", e.interceptor, dir)
	default:
	}
	s := subject + eventNames[e.what]
	if e.text != "" {
		s += " " + e.text
	}
	if e.what == evNextEnd || e.what == evLeave || e.what == evHookFail {
		s += " " + short(e.err)
	}
	return s
}

// violation is a rule that a run broke.
type violation struct {
	rule   rule
	form   string // of the detail: the same in violations of the same kind
	detail string
}

// world is one run of a program.
type world struct {
	p     *program
	bare  bool
	srv   *server // for a server's program; nil for a client's
	start time.Time
	kill  chan struct{} // closed when everything must end

	mu           sync.Mutex
	rand         *rand.Rand
	events       []event
	streams      []*stream
	interceptors []*interceptorRun
	ops          []*op
	options      options
	attempt      int  // number of repeated calls of next
	beginning    bool // a repeated next was called and nothing has happened inside
	violations   []violation
	thrown       []string // panics
}

// begin records a call of next. A repeated call resets the counts.
func (w *world) begin(again bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if again {
		w.attempt++
		w.beginning = true
	}
}

// begun records that counts have been reset.
func (w *world) begun() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.beginning = false
}

// receives reports whether the application receives.
func (w *world) receives() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.ops, func(o *op) bool { return !o.done && (o.do == actReceive || o.do == actInvoke) })
}

func (w *world) now() time.Duration { return time.Since(w.start) }

func (w *world) log(e event) int {
	e.at = w.now()
	w.mu.Lock()
	w.events = append(w.events, e)
	seq := len(w.events) - 1
	w.mu.Unlock()
	w.yield()
	return seq
}

// yield sometimes lets other goroutines run, so that simultaneous events happen in different orders.
func (w *world) yield() {
	w.mu.Lock()
	yields := 0
	if w.rand.IntN(4) == 0 {
		yields = 1 + w.rand.IntN(3)
	}
	w.mu.Unlock()
	for range yields {
		runtime.Gosched()
	}
}

func (w *world) violate(r rule, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violations = append(w.violations, violation{r, format, fmt.Sprintf(format, args...)})
}

// panics records a value and then panics with it.
func (w *world) panics(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.log(event{what: evPanic, text: text})
	w.mu.Lock()
	w.thrown = append(w.thrown, text)
	w.mu.Unlock()
	panic(text)
}

func (w *world) trace() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for i, e := range w.events {
		fmt.Fprintf(&b, "  %4d %12v  %v\n", i, e.at, e)
	}
	return b.String()
}
