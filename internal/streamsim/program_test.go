package streamsim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// program is one RPC: the actions of the application, the chain and the transport.
type program struct {
	Seed         uint64
	Kind         hauberk.Kind
	Tidy         bool          // no two events happen at the same time, so that only one outcome is right
	Invoke       bool          // a unary call is made by Invoke instead of the steps
	Options      bool          // the application uses call options for the header, the trailer and the peer
	Finish       bool          // the application's OnFinish panics
	Reopens      bool          // an interceptor of grpc-go given to the connection opens another stream when one fails
	Deadline     time.Duration // of the application's context; 0 for none
	Interceptors []interceptor // outermost first
	Attempts     []script      // of the streams that the transport opens, in order; others use the last
	Sender       []step        // the steps of the application's first goroutine
	Receiver     []step        // the steps of its second goroutine, if it has one
}

// action is the application's action in one step.
type action uint8

const (
	actSend action = iota
	actReceive
	actDrain // receives until an error
	actClose
	actHeader
	actContext // waits until the stream's context is done
	actCancel
	actOpen // NewStream, which is never in a program's list
	actTrailer
	actInvoke // Invoke, which is never in a program's list
)

var actionNames = [...]string{"send", "receive", "drain", "close", "header", "context", "cancel", "open", "trailer", "invoke"}

func (a action) String() string { return actionNames[a] }

// step is an action of the application, after a delay.
type step struct {
	After time.Duration
	Do    action
	Big   bool // the message to send is larger than the smaller limits of Replayable
}

func (s step) String() string {
	if s.Big {
		return after(s.After) + "send a big one"
	}
	return after(s.After) + s.Do.String()
}

func after(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return "+" + d.String() + " "
}

// script describes the actions of the transport and the server on one stream.
type script struct {
	OpenDelay time.Duration
	Reject    codes.Code // NewStream fails with this code
	PanicOpen bool
	Window    int        // number of unread messages that the stream takes; 0 for any number
	FailSend  int        // the n-th SendMsg fails in this process; 0 for none
	PanicSend int        // the n-th SendMsg panics
	PanicRecv int        // the n-th RecvMsg panics
	Events    []srvEvent // without an end among them the server hangs
}

// srvAct is the server's action in one event.
type srvAct uint8

const (
	srvRead    srvAct = iota // reads N messages, fewer if the client half-closes
	srvReadAll               // reads until the client half-closes
	srvHeader
	srvMessage // sends N messages
	srvEcho    // reads a message and sends one, until the client half-closes
	srvEnd     // ends the stream with Code
	srvReset   // resets the stream, without a trailer
)

var srvNames = [...]string{"read", "readAll", "header", "message", "echo", "end", "reset"}

type srvEvent struct {
	After time.Duration
	Do    srvAct
	N     int
	Code  codes.Code
}

func (e srvEvent) String() string {
	s := after(e.After) + srvNames[e.Do]
	switch e.Do {
	case srvRead, srvMessage:
		s += fmt.Sprint(" ", e.N)
	case srvEnd, srvReset:
		s += " " + e.Code.String()
	default:
	}
	return s
}

func (s script) String() string {
	var parts []string
	add := func(cond bool, format string, args ...any) {
		if cond {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(s.OpenDelay > 0, "opens after %v", s.OpenDelay)
	add(s.Reject != codes.OK, "rejects with %v", s.Reject)
	add(s.PanicOpen, "panics when it opens")
	add(s.Window > 0, "window %d", s.Window)
	add(s.FailSend > 0, "SendMsg %d fails in this process", s.FailSend)
	add(s.PanicSend > 0, "SendMsg %d panics", s.PanicSend)
	add(s.PanicRecv > 0, "RecvMsg %d panics", s.PanicRecv)
	for _, e := range s.Events {
		parts = append(parts, e.String())
	}
	return strings.Join(parts, "; ")
}

// interceptorKind is the behaviour of an interceptor of a program.
type interceptorKind uint8

const (
	interceptorPlain    interceptorKind = iota // calls next
	interceptorHooks                           // hooks that pass messages on unchanged
	interceptorDrop                            // a hook that drops some messages
	interceptorMultiply                        // a send hook that emits some messages twice
	interceptorChange                          // a hook that changes messages
	interceptorFail                            // a hook that fails at message N
	interceptorBlock                           // a hook that blocks at message N, for D or until the context is done
	interceptorPanic                           // a hook that panics at message N
	interceptorPanicBefore
	interceptorPanicAfter
	interceptorRetry
	interceptorHedge
	interceptorWrap       // FromClient, with a stream that passes everything on
	interceptorReopen     // FromClient, with a stream that opens another when the first fails
	interceptorWrapChange // FromClient, with a stream that changes messages
	interceptorReplyBefore
	interceptorReplyNext   // Reply, then next, which takes the reply back
	interceptorReplyAlways // Reply after next, for every result of next
	interceptorReplyAfter  // Reply if next failed
	interceptorReject
	interceptorMap     // replaces the error of next by another
	interceptorDelay   // waits for D before next
	interceptorTimeout // passes a context with a timeout of D to next
	interceptorRead    // call.ReadFirst before next
	interceptorAbandon // calls next on a goroutine and returns after D, which is not allowed
	interceptorRecovery
	interceptorExpire // discards the attempt after D, and cancels it 5 D later, unless the call is committed
	interceptorWait   // a hook with a context that waits at message N, for D or until its context is done
)

var interceptorNames = [...]string{
	"plain", "hooks", "drop", "multiply", "change", "fail", "block", "panic", "panicBefore", "panicAfter", "retry", "hedge",
	"wrap", "reopen", "wrapChange", "replyBefore", "replyNext", "replyAlways", "replyAfter", "reject", "map", "delay", "timeout", "read",
	"abandon", "recovery", "expire", "wait",
}

// interceptor is an interceptor of a program.
type interceptor struct {
	Kind    interceptorKind
	Receive bool // the hook is a receive hook
	N       int  // the message, or the number of attempts
	ByText  bool // N is the number of the message in the program, not of the calls of the hook
	Code    codes.Code
	D       time.Duration
	Limit   int  // of Replayable
	Header  bool // CommitOnHeader before next
}

func (l interceptor) String() string {
	s := interceptorNames[l.Kind]
	dir := " sent"
	if l.Receive {
		dir = " received"
	}
	at := fmt.Sprintf(" message %d", l.N)
	if l.ByText {
		at = fmt.Sprintf(" message m%d", l.N)
	}
	switch l.Kind {
	case interceptorDrop, interceptorChange:
		s += dir
	case interceptorFail:
		s += dir + at + " with " + l.Code.String()
	case interceptorPanic:
		s += dir + at
	case interceptorBlock, interceptorWait:
		s += dir + at
		if l.D > 0 {
			s += " for " + l.D.String()
		} else {
			s += " until the context is done"
		}
	case interceptorRetry:
		s += fmt.Sprintf(" %d attempts, limit %d, backoff %v", l.N, l.Limit, l.D)
		if l.Header {
			s += ", committed by the header"
		}
	case interceptorHedge:
		s += fmt.Sprintf(" %d attempts, delay %v", l.N, l.D)
	case interceptorReject, interceptorMap:
		s += " " + l.Code.String()
	case interceptorDelay, interceptorTimeout, interceptorExpire, interceptorAbandon:
		s += " " + l.D.String()
	case interceptorReplyBefore, interceptorReplyNext, interceptorReplyAlways, interceptorReplyAfter:
		s += fmt.Sprintf(" %d messages", l.N)
	default:
	}
	return s
}

func (p *program) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "program %d: %v", p.Seed, p.Kind)
	if p.Invoke {
		b.WriteString(", by Invoke")
	}
	if p.Options {
		b.WriteString(", with options")
	}
	if p.Finish {
		b.WriteString(", OnFinish panics")
	}
	if p.Reopens {
		b.WriteString(", the connection opens streams again")
	}
	if p.Deadline > 0 {
		fmt.Fprintf(&b, ", deadline %v", p.Deadline)
	}
	b.WriteByte('\n')
	for i, l := range p.Interceptors {
		fmt.Fprintf(&b, "  interceptor %d: %v\n", i, l)
	}
	for i, s := range p.Attempts {
		fmt.Fprintf(&b, "  stream %d: %v\n", i, s)
	}
	fmt.Fprintf(&b, "  application: %s\n", steps(p.Sender))
	if p.Receiver != nil {
		fmt.Fprintf(&b, "  concurrently: %s\n", steps(p.Receiver))
	}
	return b.String()
}

func steps(list []step) string {
	texts := make([]string, 0, len(list))
	for _, s := range list {
		texts = append(texts, s.String())
	}
	return strings.Join(texts, "; ")
}

// has reports whether the chain has an interceptor of one of these kinds. One that opens streams
// again may be the connection's.
func (p *program) has(kinds ...interceptorKind) bool {
	if p.Reopens && slices.Contains(kinds, interceptorReopen) {
		return true
	}
	for _, l := range p.Interceptors {
		if slices.Contains(kinds, l.Kind) {
			return true
		}
	}
	return false
}

// reopensTwice reports whether both an adapter and the connection open streams again. The adapter's replay may
// meet the end of a stream that the connection replaces with what it was given: on bare grpc-go, too, the rest is lost.
func (p *program) reopensTwice() bool {
	return p.Reopens && slices.ContainsFunc(p.Interceptors, func(l interceptor) bool { return l.Kind == interceptorReopen })
}

// transparent reports whether the chain changes nothing.
func (p *program) transparent() bool {
	if p.Finish {
		return false
	}
	for _, l := range p.Interceptors {
		switch l.Kind {
		case interceptorPlain, interceptorHooks, interceptorWrap, interceptorReplyNext:
		case interceptorRecovery:
			if p.transportPanics() {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func (p *program) transportPanics() bool {
	for _, s := range p.Attempts {
		if s.PanicOpen || s.PanicSend > 0 || s.PanicRecv > 0 {
			return true
		}
	}
	return false
}
