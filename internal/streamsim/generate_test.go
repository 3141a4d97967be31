package streamsim

import (
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// generator generates a program from a seed.
type generator struct {
	*rand.Rand

	tidy bool // see program.Tidy
}

func generate(seed uint64) *program {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 9))}
	p := &program{Seed: seed, Kind: g.kind()}
	transparent := g.chance(25)
	g.tidy = transparent || g.chance(25)
	switch {
	case transparent:
		p.Interceptors = g.transparent()
	case g.chance(45):
		p.Interceptors = g.retrying(p.Kind)
	default:
		p.Interceptors = g.interceptors(p.Kind, g.IntN(7))
	}
	transparent = p.transparent()
	g.tidy = g.tidy || transparent
	p.Tidy = g.tidy
	p.Invoke = p.Kind == hauberk.Unary && g.chance(70)
	p.Options = g.chance(15)
	p.Finish = !transparent && g.chance(2)
	if g.chance(20) {
		p.Deadline = 1 + time.Duration(g.Int64N(int64(60*time.Millisecond)))
	}
	for range 1 + g.IntN(3) {
		p.Attempts = append(p.Attempts, g.script(p.Kind, transparent))
	}
	if p.has(interceptorRetry, interceptorReopen, interceptorHedge) && len(p.Attempts) < 2 {
		p.Attempts = append(p.Attempts, g.script(p.Kind, false))
	}
	if p.Invoke || p.has(interceptorHedge) || raced {
		p.abandonNot()
	}
	// From another source, so that the programs of other seeds stay what they are.
	if more := rand.New(rand.NewPCG(seed, 10)); more.IntN(100) < 6 && !p.Invoke && !p.has(interceptorHedge) {
		p.reopens()
	}
	if more := rand.New(rand.NewPCG(seed, 11)); more.IntN(100) < 6 && !transparent && !p.Invoke {
		p.expires(more)
	}
	if more := rand.New(rand.NewPCG(seed, 12)); more.IntN(100) < rarely() && !transparent && !p.Invoke {
		p.waits(more)
	}
	if more := rand.New(rand.NewPCG(seed, 13)); more.IntN(100) < rarely() && !transparent && !p.Invoke {
		p.readsFirst(more)
	}
	if !p.Invoke {
		g.application(p)
	}
	if p.has(interceptorAbandon) {
		return p // nothing could recover such a panic
	}
	if os.Getenv(envCalm) != "" {
		return p // no panics of the transport, so that a library that does not survive them can be explored
	}
	if !transparent && !p.has(interceptorHedge) && g.chance(4) || transparent && g.chance(10) {
		s := &p.Attempts[g.IntN(len(p.Attempts))]
		switch g.IntN(3) {
		case 0:
			s.PanicOpen = true
		case 1:
			s.PanicSend = 1 + g.IntN(3)
		default:
			s.PanicRecv = 1 + g.IntN(3)
		}
	}
	return p
}

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

// reopens lets the connection open streams again. If SendMsg meets the end of the first and the chain
// needs that, to replay the message or for its outcome, SendMsg waits for a message of the second: such
// programs have no replays and no messages that cannot be encoded.
func (p *program) reopens() {
	p.Reopens = true
	for i := range p.Attempts {
		if p.Kind.ClientStreams() {
			p.Attempts[i].FailSend = 0
		}
	}
	for i := range p.Interceptors {
		if p.Interceptors[i].Kind == interceptorRetry && p.Kind.ClientStreams() {
			p.Interceptors[i].Kind = interceptorPlain
		}
	}
	if len(p.Attempts) < 2 {
		n := 1
		if p.Kind.ServerStreams() {
			n = 3
		}
		p.Attempts = append(p.Attempts, script{Events: []srvEvent{{Do: srvMessage, N: n}, {After: 5 * time.Millisecond, Do: srvEnd}}})
	}
}

func (g *generator) kind() hauberk.Kind {
	switch n := g.IntN(20); {
	case n < 8:
		return hauberk.Bidi
	case n < 13:
		return hauberk.ClientStream
	case n < 17:
		return hauberk.ServerStream
	default:
		return hauberk.Unary
	}
}

// delay returns a delay that is short compared with the deadlines. Equal delays make events happen at
// the same time.
func (g *generator) delay() time.Duration {
	if g.tidy {
		return 1 + time.Duration(g.Int64N(int64(10*time.Millisecond)))
	}
	switch n := g.IntN(10); {
	case n < 6:
		return 0
	case n < 9:
		return time.Duration(1+g.IntN(5)) * time.Millisecond
	default:
		return 1 + time.Duration(g.Int64N(int64(20*time.Millisecond)))
	}
}

// some returns a delay that is not 0.
func (g *generator) some() time.Duration { return max(g.delay(), time.Millisecond) }

func (g *generator) failure() codes.Code {
	if g.chance(60) {
		return codes.Unavailable
	}
	return []codes.Code{codes.Internal, codes.NotFound, codes.Canceled, codes.DeadlineExceeded, codes.Aborted}[g.IntN(5)]
}

func (g *generator) transparent() []interceptor {
	var list []interceptor
	for range g.IntN(4) {
		switch g.IntN(7) {
		case 6:
			list = append(list, interceptor{Kind: interceptorReplyNext, N: 1})
		case 0:
			list = append(list, interceptor{Kind: interceptorPlain})
		case 1:
			if !(&program{Interceptors: list}).has(interceptorRecovery) {
				list = append(list, interceptor{Kind: interceptorRecovery})
			}
		case 2:
			list = append(list, interceptor{Kind: interceptorWrap})
		default:
			list = append(list, interceptor{Kind: interceptorHooks})
		}
	}
	return list
}

// retrying returns a chain around one or two retries.
func (g *generator) retrying(kind hauberk.Kind) []interceptor {
	list := g.interceptors(kind, g.IntN(3))
	list = append(list, g.retry())
	if g.chance(25) {
		list = append(list, g.interceptors(kind, g.IntN(2))...)
		list = append(list, g.retry())
	}
	list = append(list, g.interceptors(kind, g.IntN(3))...)
	percent := 8
	if !kind.ClientStreams() {
		percent = 30
	}
	if g.chance(percent) { // an attempt ends while its message is in an outer hook
		list = append([]interceptor{{Kind: interceptorBlock, N: 1, D: g.some() + 5*time.Millisecond}}, list...)
	}
	if g.chance(20) { // an event happens while a message is replayed, or soon after
		trouble := []interceptorKind{interceptorFail, interceptorPanic, interceptorBlock}[g.IntN(3)]
		l := interceptor{Kind: trouble, N: 1 + g.IntN(4), Code: g.failure(), ByText: g.chance(20)}
		if g.chance(60) {
			l.D = g.some()
		}
		list = append(list, l)
		if g.chance(50) {
			list = append([]interceptor{{Kind: interceptorRecovery}}, list...)
		}
	}
	return g.sane(list)
}

// expires adds an interceptor that discards the attempt, often while that is being opened.
func (p *program) expires(g *rand.Rand) {
	l := interceptor{Kind: interceptorExpire, D: time.Duration(1+g.IntN(5)) * time.Millisecond}
	p.Interceptors = slices.Insert(p.Interceptors, g.IntN(len(p.Interceptors)+1), l)
	if g.IntN(2) == 0 {
		p.Attempts[0].OpenDelay = l.D + l.D/2
	}
}

// waits adds one or two hooks with a context, which wait, or hooks inside of a retry that wait in both directions
// until a deadline.
func (p *program) waits(g *rand.Rand) {
	retry := slices.IndexFunc(p.Interceptors, func(l interceptor) bool { return l.Kind == interceptorRetry })
	if retry >= 0 && p.Kind.ClientStreams() && g.IntN(2) == 0 {
		send := interceptor{Kind: interceptorWait, N: 2 + g.IntN(2)} // the first attempt has few messages
		receive := interceptor{Kind: interceptorWait, Receive: true, N: 1 + g.IntN(2), Limit: g.IntN(2) * int(time.Millisecond)}
		p.Interceptors = slices.Insert(p.Interceptors, retry+1, send, receive)
		if p.Deadline == 0 {
			p.Deadline = time.Duration(5+g.IntN(20)) * time.Millisecond
		}
		return
	}
	for range 1 + g.IntN(2) {
		l := interceptor{Kind: interceptorWait, Receive: g.IntN(2) == 0, N: 1 + g.IntN(4), ByText: g.IntN(3) == 0}
		if g.IntN(2) == 0 {
			l.D = time.Duration(1+g.IntN(8)) * time.Millisecond
		}
		if g.IntN(2) == 0 {
			l.Limit = int(time.Millisecond)
		}
		p.Interceptors = slices.Insert(p.Interceptors, g.IntN(len(p.Interceptors)+1), l)
	}
}

// readsFirst adds an interceptor that reads the first message of a stream of requests, and lets the header commit
// the calls of retries.
func (p *program) readsFirst(g *rand.Rand) {
	if p.Kind.ClientStreams() && g.IntN(2) == 0 {
		p.Interceptors = slices.Insert(p.Interceptors, g.IntN(len(p.Interceptors)+1), interceptor{Kind: interceptorRead})
	}
	for i := range p.Interceptors {
		p.Interceptors[i].Header = g.IntN(2) == 0
	}
}

// rarely returns the percentage of programs that waits and readsFirst change.
func rarely() int {
	if os.Getenv(envWaits) != "" {
		return 90
	}
	return 6
}

func (g *generator) retry() interceptor {
	limits := []int{0, 70, 140, 155, 215, 1000, 1000, 1000, 1000} // a message counts 64 bytes and its size, 4 or 17
	return interceptor{Kind: interceptorRetry, N: 2 + g.IntN(2), Limit: limits[g.IntN(len(limits))], D: g.delay()}
}

func (g *generator) interceptors(kind hauberk.Kind, n int) []interceptor {
	var list []interceptor
	for range n {
		list = append(list, g.interceptor(kind))
	}
	return g.sane(list)
}

// sane leaves at most one recovery, since a chain has at most one guard, one
// interceptor that returns early, and no adapter that opens several streams inside
// concurrent attempts: what the application receives into is not known there, and only
// a stream without a header is sure to have no message.
func (*generator) sane(list []interceptor) []interceptor {
	var sane []interceptor
	for _, l := range list {
		p := program{Interceptors: sane}
		if l.Kind == interceptorReopen && p.has(interceptorHedge) {
			l.Kind = interceptorWrap
		}
		if single := l.Kind == interceptorRecovery || l.Kind == interceptorAbandon; !single || !p.has(l.Kind) {
			sane = append(sane, l)
		}
	}
	return sane
}

func (g *generator) interceptor(kind hauberk.Kind) interceptor {
	l := interceptor{Receive: g.chance(40), N: 1 + g.IntN(3), ByText: g.chance(30), Code: g.failure()}
	if l.ByText {
		l.N--
	}
	streams := kind.ClientStreams()
	if l.Receive {
		streams = kind.ServerStreams()
	}
	switch n := g.IntN(100); {
	case n < 6:
		l.Kind = interceptorPlain
	case n < 16:
		l.Kind = interceptorHooks
	case n < 23 && (streams || g.chance(20)):
		l.Kind = interceptorDrop
	case n < 29 && (kind.ClientStreams() || g.chance(20)):
		l.Kind, l.Receive = interceptorMultiply, false
	case n < 35:
		l.Kind = interceptorChange
	case n < 47:
		l.Kind = interceptorFail
	case n < 56:
		l.Kind = interceptorBlock
		if g.chance(60) {
			l.D = g.some()
		}
	case n < 61:
		l.Kind = interceptorPanic
	case n < 62:
		l.Kind = interceptorPanicBefore
	case n < 64:
		l.Kind = interceptorPanicAfter
	case n < 70:
		return g.retry()
	case n < 74 && !kind.ClientStreams():
		l.Kind, l.N, l.D = interceptorHedge, 2+g.IntN(2), g.some()
	case n < 77:
		l.Kind = interceptorWrap
	case n < 79:
		l.Kind = interceptorWrapChange
	case n < 81:
		l.Kind = interceptorReopen
	case n < 82:
		l.Kind, l.N = interceptorReplyBefore, g.replies(kind)
	case n < 84:
		l.Kind, l.N = []interceptorKind{interceptorReplyAfter, interceptorReplyAlways, interceptorReplyNext}[g.IntN(3)], g.replies(kind)
	case n < 85:
		l.Kind = interceptorReject
	case n < 89:
		l.Kind = interceptorMap
	case n < 92:
		l.Kind, l.D = interceptorDelay, g.some()
	case n < 94:
		l.Kind, l.D = interceptorTimeout, g.some()
	case n < 96 && !kind.ClientStreams():
		l.Kind = interceptorRead
	case n < 97:
		l.Kind, l.D = interceptorAbandon, g.delay()
	default:
		l.Kind = interceptorRecovery
	}
	return l
}

func (g *generator) replies(kind hauberk.Kind) int {
	if kind.ServerStreams() {
		return g.IntN(3)
	}
	return 1
}

// script returns the script of one stream. If there is only one stream, failures are rarer.
//

func (g *generator) script(kind hauberk.Kind, only bool) script {
	var s script
	if g.chance(15) {
		s.OpenDelay = g.delay()
	}
	if g.chance(8) {
		s.Reject = g.failure()
		return s
	}
	if kind.ClientStreams() && g.chance(25) {
		s.Window = 1 + g.IntN(2)
	}
	if g.chance(3) {
		s.FailSend = 1 + g.IntN(3)
	}
	add := func(do srvAct, n int, code codes.Code) {
		s.Events = append(s.Events, srvEvent{After: g.delay(), Do: do, N: n, Code: code})
	}
	if g.chance(30) {
		add(srvRead, g.IntN(4), codes.OK)
	}
	if g.chance(20) {
		add(srvHeader, 0, codes.OK)
	}
	fails := 40
	if only {
		fails = 20
	}
	if g.chance(fails) { // in most cases fails before it sends a message
		if kind.ServerStreams() && g.chance(15) {
			add(srvMessage, 1, codes.OK)
		}
		do := srvEnd
		if g.chance(15) {
			do = srvReset
		}
		add(do, 0, g.failure())
		return s
	}
	switch g.IntN(10) {
	case 0, 1, 2:
		if kind.ServerStreams() {
			add(srvEcho, 0, codes.OK)
		} else {
			add(srvReadAll, 0, codes.OK)
		}
	case 3:
	default:
		if g.chance(30) {
			add(srvMessage, g.messages(kind), codes.OK)
		}
		add(srvReadAll, 0, codes.OK)
	}
	if g.chance(10) {
		return s // it hangs
	}
	add(srvMessage, g.messages(kind), codes.OK)
	if g.chance(80) {
		add(srvEnd, 0, codes.OK)
	} else if g.chance(70) {
		add(srvEnd, 0, g.failure())
	}
	return s
}

func (g *generator) messages(kind hauberk.Kind) int {
	if kind.ServerStreams() {
		return g.IntN(4)
	}
	if g.chance(5) {
		return 2 * g.IntN(2)
	}
	return 1
}

// application generates the steps of the application.
func (g *generator) application(p *program) {
	two := g.chance(55) && !p.has(interceptorReopen)
	add := func(list *[]step, do action) {
		*list = append(*list, step{After: g.delay(), Do: do, Big: do == actSend && g.chance(12)})
	}
	sends := 1
	if p.Kind.ClientStreams() {
		sends = g.IntN(6)
	} else if g.chance(3) {
		sends = 2 * g.IntN(2)
	}
	for range sends {
		add(&p.Sender, actSend)
		if !two && p.Kind == hauberk.Bidi && g.chance(25) {
			add(&p.Sender, actReceive)
		}
		if g.chance(3) {
			add(&p.Sender, actCancel)
		}
	}
	if g.chance(88) {
		add(&p.Sender, actClose)
		if g.chance(2) {
			add(&p.Sender, actSend)
		}
	}
	receiver := &p.Sender
	if two {
		p.Receiver = []step{}
		receiver = &p.Receiver
	}
	if g.chance(15) {
		add(receiver, actHeader)
	}
	if g.chance(4) {
		add(receiver, actContext)
	}
	for range g.IntN(3) {
		add(receiver, actReceive)
	}
	switch {
	case g.chance(80):
		add(receiver, actDrain)
	case g.chance(50):
		add(receiver, actCancel)
		add(receiver, actDrain)
	}
	if g.chance(8) {
		add(receiver, actContext)
	}
	if g.chance(10) {
		add(receiver, actReceive)
	}
	if g.chance(4) {
		add(receiver, actHeader)
	}
}

// abandonNot removes interceptors that must not abandon next: in a unary call, where the application
// owns its response message again, and with concurrent attempts, which have one next each.
func (p *program) abandonNot() {
	for i := range p.Interceptors {
		if p.Interceptors[i].Kind == interceptorAbandon {
			p.Interceptors[i].Kind = interceptorPlain
		}
	}
}
