package streamsim

import (
	"math/rand/v2"
	"os"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// generator makes a program from a seed.
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
		p.Links = g.transparent()
	case g.chance(45):
		p.Links = g.retrying(p.Kind)
	default:
		p.Links = g.links(p.Kind, g.IntN(7))
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
	if p.has(linkRetry, linkReopen, linkHedge) && len(p.Attempts) < 2 {
		p.Attempts = append(p.Attempts, g.script(p.Kind, false))
	}
	if p.Invoke || p.has(linkHedge) || raced {
		p.abandonNot()
	}
	if !p.Invoke {
		g.application(p)
	}
	if p.has(linkAbandon) {
		return p // a panic there is nobody's to recover
	}
	if os.Getenv(envCalm) != "" {
		return p // no panics of the transport, so that a core that dies of them can be explored
	}
	if !transparent && !p.has(linkHedge) && g.chance(4) || transparent && g.chance(10) {
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

// delay is short beside the deadlines. Equal delays make things happen at the
// same time.
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

// some is a delay that is never 0.
func (g *generator) some() time.Duration { return max(g.delay(), time.Millisecond) }

func (g *generator) failure() codes.Code {
	if g.chance(60) {
		return codes.Unavailable
	}
	return []codes.Code{codes.Internal, codes.NotFound, codes.Canceled, codes.DeadlineExceeded, codes.Aborted}[g.IntN(5)]
}

func (g *generator) transparent() []link {
	var list []link
	for range g.IntN(4) {
		switch g.IntN(7) {
		case 6:
			list = append(list, link{Kind: linkReplyNext, N: 1})
		case 0:
			list = append(list, link{Kind: linkPlain})
		case 1:
			if !(&program{Links: list}).has(linkRecovery) {
				list = append(list, link{Kind: linkRecovery})
			}
		case 2:
			list = append(list, link{Kind: linkWrap})
		default:
			list = append(list, link{Kind: linkHooks})
		}
	}
	return list
}

// retrying is a chain around one or two retries.
func (g *generator) retrying(kind hauberk.Kind) []link {
	list := g.links(kind, g.IntN(3))
	list = append(list, g.retry())
	if g.chance(25) {
		list = append(list, g.links(kind, g.IntN(2))...)
		list = append(list, g.retry())
	}
	list = append(list, g.links(kind, g.IntN(3))...)
	percent := 8
	if !kind.ClientStreams() {
		percent = 30
	}
	if g.chance(percent) { // an attempt ends while its message is in an outer hook
		list = append([]link{{Kind: linkBlock, N: 1, D: g.some() + 5*time.Millisecond}}, list...)
	}
	if g.chance(20) { // something happens while a message is replayed, or not long after
		trouble := []linkKind{linkFail, linkPanic, linkBlock}[g.IntN(3)]
		l := link{Kind: trouble, N: 1 + g.IntN(4), Code: g.failure(), ByText: g.chance(20)}
		if g.chance(60) {
			l.D = g.some()
		}
		list = append(list, l)
		if g.chance(50) {
			list = append([]link{{Kind: linkRecovery}}, list...)
		}
	}
	return g.sane(list)
}

func (g *generator) retry() link {
	limits := []int{0, 70, 140, 155, 215, 1000, 1000, 1000, 1000} // a message counts 64 bytes and its own 4, or 17
	return link{Kind: linkRetry, N: 2 + g.IntN(2), Limit: limits[g.IntN(len(limits))], D: g.delay()}
}

func (g *generator) links(kind hauberk.Kind, n int) []link {
	var list []link
	for range n {
		list = append(list, g.link(kind))
	}
	return g.sane(list)
}

// sane leaves at most one recovery, since a chain has at most one guard, one
// interceptor that returns early, and no adapter that opens several streams inside
// concurrent attempts: what the application receives into is not known there, and only
// a stream without a header is sure to have no message.
func (*generator) sane(list []link) []link {
	var sane []link
	for _, l := range list {
		p := program{Links: sane}
		if l.Kind == linkReopen && p.has(linkHedge) {
			l.Kind = linkWrap
		}
		if single := l.Kind == linkRecovery || l.Kind == linkAbandon; !single || !p.has(l.Kind) {
			sane = append(sane, l)
		}
	}
	return sane
}

func (g *generator) link(kind hauberk.Kind) link {
	l := link{Receive: g.chance(40), N: 1 + g.IntN(3), ByText: g.chance(30), Code: g.failure()}
	if l.ByText {
		l.N--
	}
	streams := kind.ClientStreams()
	if l.Receive {
		streams = kind.ServerStreams()
	}
	switch n := g.IntN(100); {
	case n < 6:
		l.Kind = linkPlain
	case n < 16:
		l.Kind = linkHooks
	case n < 23 && (streams || g.chance(20)):
		l.Kind = linkDrop
	case n < 29 && (kind.ClientStreams() || g.chance(20)):
		l.Kind, l.Receive = linkMultiply, false
	case n < 35:
		l.Kind = linkChange
	case n < 47:
		l.Kind = linkFail
	case n < 56:
		l.Kind = linkBlock
		if g.chance(60) {
			l.D = g.some()
		}
	case n < 61:
		l.Kind = linkPanic
	case n < 62:
		l.Kind = linkPanicBefore
	case n < 64:
		l.Kind = linkPanicAfter
	case n < 70:
		return g.retry()
	case n < 74 && !kind.ClientStreams():
		l.Kind, l.N, l.D = linkHedge, 2+g.IntN(2), g.some()
	case n < 77:
		l.Kind = linkWrap
	case n < 79:
		l.Kind = linkWrapChange
	case n < 81:
		l.Kind = linkReopen
	case n < 82:
		l.Kind, l.N = linkReplyBefore, g.replies(kind)
	case n < 84:
		l.Kind, l.N = []linkKind{linkReplyAfter, linkReplyAlways, linkReplyNext}[g.IntN(3)], g.replies(kind)
	case n < 85:
		l.Kind = linkReject
	case n < 89:
		l.Kind = linkMap
	case n < 92:
		l.Kind, l.D = linkDelay, g.some()
	case n < 94:
		l.Kind, l.D = linkTimeout, g.some()
	case n < 96 && !kind.ClientStreams():
		l.Kind = linkRead
	case n < 97:
		l.Kind, l.D = linkAbandon, g.delay()
	default:
		l.Kind = linkRecovery
	}
	return l
}

func (g *generator) replies(kind hauberk.Kind) int {
	if kind.ServerStreams() {
		return g.IntN(3)
	}
	return 1
}

// script is what happens on one stream. On an only stream failures are rarer.
//

func (g *generator) script(kind hauberk.Kind, only bool) script {
	var s script
	if g.chance(15) {
		s.OpenDelay = g.delay()
	}
	if g.chance(8) {
		s.Refuse = g.failure()
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
	if g.chance(fails) { // fails before it sends anything, mostly
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

// application makes the steps of the application.
func (g *generator) application(p *program) {
	two := g.chance(55) && !p.has(linkReopen)
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

// abandonNot leaves out what is wrong in a unary call, whose application has its
// response message back, and with concurrent attempts, which have a next each.
func (p *program) abandonNot() {
	for i := range p.Links {
		if p.Links[i].Kind == linkAbandon {
			p.Links[i].Kind = linkPlain
		}
	}
}
