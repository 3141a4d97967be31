package streamsim

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

func generateServer(seed uint64) *serverProgram {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 11))}
	p := &serverProgram{program: program{Seed: seed, Kind: g.kind()}}
	transparent := g.chance(30)
	g.tidy = transparent || g.chance(25)
	if transparent {
		p.Interceptors = g.transparent()
	} else {
		p.Interceptors = g.serverInterceptors(p.Kind)
	}
	p.Interceptors = slices.DeleteFunc(p.Interceptors, func(l interceptor) bool { return l.Kind == interceptorReplyNext && !g.chance(30) })
	p.Tidy = g.tidy || p.transparent()
	g.tidy = p.Tidy
	p.Decoded = g.chance(20)
	g.client(p)
	g.handler(p)
	switch {
	case p.Tidy:
	case p.Kind.ServerStreams() && g.chance(10): // a goroutine remains in SendMsg, and a reply follows
		p.Window, p.Join = 1, false
		p.Others = append(p.Others, []programStep{{Do: actSend}, {Do: actSend}, {Do: actSend}})
		p.Handler = append(p.Handler, programStep{After: g.some(), Do: actReceive})
		p.Interceptors = g.sane(append([]interceptor{{Kind: interceptorReplyAlways, N: 1}}, p.Interceptors...))
	case p.Kind.ClientStreams() && g.chance(10): // a goroutine remains between two receive hooks
		p.Join = false
		p.Client = append([]clientStep{{Do: cliSend}}, p.Client...)
		p.Others = append([][]programStep{{{Do: actReceive}}}, p.Others...)
		p.Handler = []programStep{{After: g.some(), Do: actSend}}
		block := interceptor{Kind: interceptorBlock, Receive: true, N: 1, D: g.some() + 5*time.Millisecond}
		p.Interceptors = g.sane(append([]interceptor{block}, append(p.Interceptors, interceptor{Kind: interceptorHooks})...))
	}
	if more := rand.New(rand.NewPCG(seed, 12)); more.IntN(100) < rarely() && !p.transparent() && !p.Tidy {
		if p.Kind.ClientStreams() && more.IntN(2) == 0 {
			p.Interceptors = slices.Insert(p.Interceptors, more.IntN(len(p.Interceptors)+1), interceptor{Kind: interceptorRead})
		}
		if more.IntN(2) == 0 {
			p.waits(more)
		}
	}
	return p
}

// serverInterceptors are the interceptors of a server.
func (g *generator) serverInterceptors(kind hauberk.Kind) []interceptor {
	var list []interceptor
	for range 1 + g.IntN(5) {
		l := g.interceptor(kind)
		switch l.Kind {
		case interceptorRetry, interceptorHedge, interceptorAbandon, interceptorReopen:
			l = interceptor{Kind: interceptorHooks}
		case interceptorDrop, interceptorMultiply, interceptorFail, interceptorBlock, interceptorChange, interceptorPanic:
			l.Receive = l.Kind != interceptorMultiply && g.chance(50)
		default:
		}
		list = append(list, l)
	}
	return g.sane(list)
}

func (g *generator) client(p *serverProgram) {
	add := func(do clientAct) { p.Client = append(p.Client, clientStep{g.delay(), do}) }
	sends := 1
	if p.Kind.ClientStreams() {
		sends = g.IntN(5)
	} else if p.Kind == hauberk.ServerStream && g.chance(5) {
		sends = 0
	}
	if p.Kind.ServerStreams() && g.chance(25) {
		p.Window = 1 + g.IntN(2)
	}
	for range sends {
		if p.Kind != hauberk.Unary {
			add(cliSend)
		}
		if p.Window > 0 && g.chance(60) {
			add(cliRead)
		}
	}
	if g.chance(90) {
		add(cliClose)
	}
	for p.Window > 0 && g.chance(70) {
		add(cliRead)
	}
	if g.chance(15) {
		add(cliCancel)
	}
}

func (g *generator) handler(p *serverProgram) {
	step := func(do action) step { return step{After: g.delay(), Do: do, Big: do == actSend && g.chance(10)} }
	p.Code = codes.OK
	if g.chance(25) {
		p.Code = g.failure()
	}
	p.Panics = !p.transparent() && g.chance(4)
	if p.Kind == hauberk.Unary {
		for range g.IntN(2) {
			p.Handler = append(p.Handler, step(actReceive))
		}
		return
	}
	goroutines := 1
	if g.chance(50) {
		goroutines += 1 + g.IntN(2)
	}
	p.Join = g.chance(40)
	for i := range goroutines {
		var list []programStep
		receives := i == 0 || g.chance(50)
		if receives && !p.Kind.ClientStreams() {
			list = append(list, step(actReceive))
		}
		for range g.IntN(4) {
			switch {
			case g.chance(50) && p.Kind.ServerStreams():
				list = append(list, step(actSend))
			case receives && p.Kind.ClientStreams():
				list = append(list, step(actReceive))
			}
		}
		if receives && p.Kind.ClientStreams() && g.chance(50) {
			list = append(list, step(actDrain))
		}
		for p.Kind.ServerStreams() && g.chance(40) {
			list = append(list, step(actSend))
		}
		if i == 0 {
			p.Handler = list
		} else {
			p.Others = append(p.Others, list)
		}
	}
	if !p.Kind.ServerStreams() && p.Code == codes.OK && g.chance(95) {
		p.Handler = append(p.Handler, step(actSend))
	}
}

type programStep = step // where step is a function

// exploreServer runs a program and checks it.
func exploreServer(t *testing.T, p *serverProgram) *world {
	w := p.run(t, false)
	if slices.Contains(w.broken(), ruleLock) {
		return w
	}
	w.srv.check()
	if p.Tidy && p.transparent() && !p.Panics && len(w.violations) == 0 {
		w.srv.compare(p.run(t, true).srv)
	}
	return w
}

// TestServerSeed runs one program of a server and prints its trace.
func TestServerSeed(t *testing.T) {
	if os.Getenv(envSeed) == "" {
		t.Skip(envSeed + " holds no seed")
	}
	p := generateServer(setting(t, envSeed, 0))
	w := exploreServer(t, p)
	t.Logf("%v%s", p, w.trace())
	for _, v := range w.violations {
		t.Errorf("rule %s: %s\n    %s", v.rule, sentences[v.rule], v.detail)
	}
}

// TestExploreServer runs programs of servers from fixed seeds.
func TestExploreServer(t *testing.T) {
	count := setting(t, envCount, 20_000)
	if testing.Short() || raced {
		count /= 10
	}
	start := time.Now()
	broken := make(map[rule]int)
	for seed := uint64(1); seed <= count; seed++ {
		p := generateServer(seed)
		w := exploreServer(t, p)
		for _, r := range w.broken() {
			if broken[r]++; broken[r] > 1 {
				continue
			}
			small, w := minimizeServer(t, p, w, r)
			t.Errorf("seed %d breaks rule %s: %s\n  %s\n%v%s", seed, r, sentences[r], w.first(r).detail, small, w.trace())
		}
		for _, v := range w.violations {
			listServer(p, v)
		}
		if len(broken) > 0 && os.Getenv(envFirst) != "" {
			break
		}
	}
	fmt.Printf("streamsim: %d programs of servers in %v\n", count, time.Since(start).Round(time.Millisecond))
	if len(broken) > 0 {
		t.Errorf("rules that were broken, by number of programs: %v", broken)
	}
}

func listServer(p *serverProgram, v violation) {
	f, err := os.OpenFile(os.Getenv(envList), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	_, _ = fmt.Fprintf(f, "server %d %s: %s [%v]\n", p.Seed, v.rule, v.detail, p.Interceptors)
}

// minimizeServer removes parts of a program as long as it breaks a rule.
func minimizeServer(t *testing.T, p *serverProgram, w *world, r rule) (*serverProgram, *world) {
	form := w.first(r).form
	for again := os.Getenv(envFirst) == ""; again; {
		again = false
		for i := 0; ; i++ {
			smaller, ok := p.without(i)
			if !ok {
				break
			}
			for range repeats {
				if found := exploreServer(t, smaller); found.first(r).form == form {
					p, w, again = smaller, found, true
					i--
					break
				}
			}
		}
	}
	return p, w
}

// without returns the program without its i-th part.
func (p *serverProgram) without(i int) (*serverProgram, bool) {
	c := *p
	c.Interceptors, c.Client, c.Handler = slices.Clone(p.Interceptors), slices.Clone(p.Client), slices.Clone(p.Handler)
	c.Others = slices.Clone(p.Others)
	if i < len(c.Interceptors) {
		c.Interceptors = slices.Delete(c.Interceptors, i, i+1)
		return &c, true
	}
	if i -= len(c.Interceptors); i < len(c.Others) {
		c.Others = slices.Delete(c.Others, i, i+1)
		return &c, true
	}
	if i -= len(c.Others); i < len(c.Client) {
		c.Client = slices.Delete(c.Client, i, i+1)
		return &c, true
	}
	if i -= len(c.Client); i < len(c.Handler) {
		c.Handler = slices.Delete(c.Handler, i, i+1)
		return &c, true
	}
	if i -= len(c.Handler); i == 0 && c.Window > 0 {
		c.Window = 0
		return &c, true
	}
	return nil, false
}
