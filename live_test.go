package hauberk_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// liveCase starts a Live with a chain on the side of a case.
func liveCase(t *testing.T, c hauberktest.Case, b *hauberktest.Backend, chain *hauberk.Chain) (*hauberk.Live, *hauberktest.Env) {
	t.Helper()
	live := hauberk.NewLive(chain)
	setup := hauberktest.Setup{Backend: b, Kind: c.Kind}
	if c.Side == hauberk.ServerSide {
		setup.ServerLive = live
	} else {
		setup.ClientLive = live
	}
	return live, hauberktest.Start(t, setup)
}

// handlerGate is a backend whose handlers wait if the request says so.
type handlerGate struct{ begun, open chan struct{} }

func newHandlerGate() *handlerGate { return &handlerGate{make(chan struct{}), make(chan struct{})} }

func (g *handlerGate) backend() *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		req, err := s.Recv()
		if err != nil {
			return err
		}
		if req.GetText() == "wait" {
			close(g.begun)
			<-g.open
		}
		return s.Send(&testpb.Response{Text: "echo:" + req.GetText()})
	}}
}

// A call keeps the chain that it began with, also while it is open, and a call that begins after Swap runs the
// new chain.
func TestLive(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j, g := new(journal), newHandlerGate()
		first := hauberk.Must(hauberk.New(j.tag("old"), j.tag("old inner")))
		live, env := liveCase(t, c, g.backend(), first)
		if live.Chain() != first {
			t.Error("Chain is not the first chain")
		}
		ended := make(chan hauberktest.Outcome)
		go func() { ended <- env.Call(t.Context(), "wait") }()
		<-g.begun
		next := hauberk.Must(hauberk.New(j.tag("new")))
		if err := live.Swap(next); err != nil || live.Chain() != next {
			t.Errorf("Swap: %v", err)
		}
		if out := env.Call(t.Context(), "go"); out.Err != nil {
			t.Error(out.Err)
		}
		if got := env.Server.Running()[hauberktest.FullMethod(c.Kind)]; got != 1 {
			t.Errorf("%d calls run; want the one with the old chain", got)
		}
		close(g.open)
		if out := <-ended; out.Err != nil || !slices.Equal(out.Texts(), []string{"echo:wait"}) {
			t.Errorf("the open call ended with %v, %v", out.Texts(), out.Err)
		}
		equal(t, "interceptors", j.all(),
			[]string{"old in", "old inner in", "new in", "new out OK", "old inner out OK", "old out OK"})
	})
}

// tags is an interceptor that writes a name into header and trailer.
func tags(name string) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if call.Side() == hauberk.ClientSide {
			ctx = metadata.AppendToOutgoingContext(ctx, "x-tag", name)
		} else if err := call.SetHeader(metadata.Pairs("x-tag", name)); err != nil {
			return err
		}
		err := next(ctx, call)
		if call.Side() == hauberk.ServerSide {
			return errors.Join(err, call.SetTrailer(metadata.Pairs("x-tag", name)))
		}
		return err
	})
}

// No call has interceptors of two chains, while chains are replaced as fast as possible.
func TestLiveUnderLoad(t *testing.T) {
	const calls = 300
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var chains []*hauberk.Chain
		for _, name := range []string{"a", "b"} {
			chains = append(chains, hauberk.Must(hauberk.New(tags(name), tags(name))))
		}
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			md, _ := metadata.FromIncomingContext(ctx)
			s.SetTrailer(metadata.MD{"x-seen": md.Get("x-tag")})
			return hauberktest.Echo(ctx, s)
		}}
		live, env := liveCase(t, c, backend, chains[0])
		var over atomic.Bool
		var swapping, calling sync.WaitGroup
		swapping.Go(func() {
			for i := 0; !over.Load(); i++ {
				if err := live.Swap(chains[i%2]); err != nil {
					t.Error(err)
				}
				runtime.Gosched()
			}
		})
		for range 4 {
			calling.Go(func() {
				for range calls / 4 {
					out := env.Call(t.Context())
					got := slices.Concat(out.Header.Get("x-tag"), out.Trailer.Get("x-tag"), out.Trailer.Get("x-seen"))
					want := map[hauberk.Side]int{hauberk.ServerSide: 4, hauberk.ClientSide: 2}[c.Side]
					if out.Err != nil || len(got) != want || len(slices.Compact(got)) != 1 {
						t.Errorf("a call has the tags %v, %v; want %d equal ones", got, out.Err, want)
						return
					}
				}
			})
		}
		calling.Wait()
		over.Store(true)
		swapping.Wait()
	})
}

// A chain that is attached twice runs once around a call, also if it is replaced between the two places.
func TestLiveRunsOnce(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j := new(journal)
		var live *hauberk.Live
		next := hauberk.Must(hauberk.New(j.tag("new")))
		live = hauberk.NewLive(hauberk.Must(hauberk.New(j.tag("old"),
			hauberk.Func(func(ctx context.Context, call *hauberk.Call, then hauberk.Next) error {
				if err := live.Swap(next); err != nil {
					return err
				}
				return then(ctx, call)
			}))))
		setup := hauberktest.Setup{Kind: c.Kind}
		if c.Side == hauberk.ServerSide {
			setup.ServerLive = live // with NewServer, which has the options and the registrar
			setup.ServerOptions = live.ServerOptions()
		} else {
			setup.ClientLive = live
			setup.DialOptions = live.DialOptions()
		}
		env := hauberktest.Start(t, setup)
		for range 2 {
			if out := env.Call(t.Context()); out.Err != nil {
				t.Error(out.Err)
			}
		}
		equal(t, "interceptors", j.all(), []string{"old in", "old out OK", "new in", "new out OK"})
	})
}

// wrongChain is a chain that does not fit.
type wrongChain struct {
	name  string
	chain *hauberk.Chain
	want  []string // in the error
}

// sided declares that an interceptor works on one side.
func sided(sides hauberk.Sides) hauberk.Interceptor {
	return declare(hauberk.Declaration{Name: "sided", Sides: sides})
}

func wrongChains() []wrongChain {
	must := func(x ...hauberk.Interceptor) *hauberk.Chain { return hauberk.Must(hauberk.New(x...)) }
	authn := declare(hauberk.Declaration{Name: "authn", Decides: true, Authenticates: true})
	return []wrongChain{
		{"nil", nil, []string{"nil or zero"}},
		{"zero", new(hauberk.Chain), []string{"nil or zero"}},
		{"the side of the client", must(sided(hauberk.OnlyClients)), []string{"works only on clients"}},
		{"the side of the server", must(sided(hauberk.OnlyServers)), []string{"works only on servers"}},
		{
			"methods without authentication", must(hauberk.For("hauberk.test.v1.TestService/Unary", authn)),
			[]string{"not those of", "TestService/Bidi"},
		},
		{
			"a pattern of no method", must(hauberk.For("shop.v1.Crat/*", hauberk.Func(idle))),
			[]string{"no method of the server", "Crat"},
		},
		{"bytes", hauberk.Must(hauberk.Config{CountBytes: true}.New()), []string{"CountBytes"}},
	}
}

// A chain that does not fit what is attached never replaces one that does, and the error says why.
func TestLiveRejects(t *testing.T) {
	j := new(journal)
	first := hauberk.Must(hauberk.New(j.tag("old")))
	live := hauberk.NewLive(first)
	env := hauberktest.Start(t, hauberktest.Setup{ServerLive: live, ClientLive: live})
	if out := env.Call(t.Context()); out.Err != nil { // so that the server serves
		t.Fatal(out.Err)
	}
	for _, c := range wrongChains() {
		t.Run(c.name, func(t *testing.T) {
			for _, err := range []error{live.Check(c.chain), live.Swap(c.chain)} {
				for _, want := range c.want {
					if err == nil || !strings.Contains(err.Error(), want) {
						t.Errorf("%v; want %q", err, want)
					}
				}
			}
			if live.Chain() != first {
				t.Error("the chain has changed")
			}
			if out := env.Call(t.Context()); out.Err != nil {
				t.Error(out.Err)
			}
		})
	}
	if err := live.Check(hauberk.Must(hauberk.New())); err != nil || live.Chain() != first {
		t.Errorf("Check of a good chain: %v, or it changed the chain", err)
	}
}

// A chain is checked against services of a registrar, before a server serves them, but not for its patterns.
func TestLiveRejectsForRegistrar(t *testing.T) {
	live := hauberk.NewLive(hauberk.Must(hauberk.New()))
	srv := grpc.NewServer()
	defer srv.Stop()
	testpb.RegisterTestServiceServer(live.Registrar(srv), &hauberktest.Backend{})
	for _, c := range wrongChains() {
		err := live.Swap(c.chain)
		if ok := slices.Contains([]string{"a pattern of no method", "the side of the server", "bytes"}, c.name); ok != (err == nil) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Methods of a nil or zero Live panic, and those of one whose chain has the wrong side.
func TestLivePanics(t *testing.T) {
	onServers := hauberk.NewLive(hauberk.Must(hauberk.New(sided(hauberk.OnlyServers))))
	for want, f := range map[string]func(){
		"NewLive of a nil or zero Chain":   func() { hauberk.NewLive(nil) },
		"Swap of a nil or zero Live":       func() { _ = (*hauberk.Live)(nil).Swap(nil) },
		"NewServer of a nil or zero Live":  func() { new(hauberk.Live).NewServer() },
		"DialOptions: sided":               func() { onServers.DialOptions() },
		"Live.Registrar in front of a nil": func() { onServers.Registrar(nil) },
	} {
		func() {
			defer func() {
				if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), want) {
					t.Errorf("panic %v; want %q", v, want)
				}
			}()
			f()
		}()
	}
}

// The sizes of a call are counted if its chain counts bytes, also if that was replaced in the meantime.
func TestLiveCountsBytes(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		g := newHandlerGate()
		wires := make(chan *hauberk.Wire, 4)
		keep := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := next(ctx, call)
			wires <- call.Wire()
			return err
		})
		counting := hauberk.Must(hauberk.Config{CountBytes: true}.New(keep))
		live, env := liveCase(t, c, g.backend(), counting)
		ended := make(chan hauberktest.Outcome)
		go func() { ended <- env.Call(t.Context(), "wait") }()
		<-g.begun
		call := func(text string) {
			if out := env.Call(t.Context(), text); out.Err != nil {
				t.Error(out.Err)
			}
		}
		if err := live.Swap(hauberk.Must(hauberk.New(keep))); err != nil {
			t.Fatal(err)
		}
		call("go")
		if w := <-wires; w != nil {
			t.Errorf("a chain that does not count has counted %+v", w.Received())
		}
		close(g.open)
		if out := <-ended; out.Err != nil {
			t.Error(out.Err)
		}
		if w := <-wires; w.Received().Messages != 1 {
			t.Errorf("the open call received %+v; want one message", w.Received())
		}
		if err := live.Swap(counting); err != nil {
			t.Fatal(err)
		}
		call("go")
		if w := <-wires; w.Received().Messages != 1 {
			t.Errorf("after the third chain: %+v; want one message", w.Received())
		}
	})
}

// A shutdown waits for the calls of each chain, with the settings of the last one.
func TestLiveDrains(t *testing.T) {
	g := newHandlerGate()
	live, _ := liveCase(t, hauberktest.Case{}, g.backend(), hauberk.Must(hauberk.New()))
	env := hauberktest.Start(t, hauberktest.Setup{ServerLive: live, Backend: g.backend(), Kind: hauberk.Bidi})
	ended := make(chan hauberktest.Outcome)
	go func() { ended <- env.Call(t.Context(), "wait") }()
	<-g.begun
	if err := live.Swap(hauberk.Must(hauberk.Config{Drain: hauberk.Drain{Grace: soon}}.New())); err != nil {
		t.Fatal(err)
	}
	total := 0.0
	for name, m := range live.Measurements() {
		if name == "server" {
			total += m.Value
		}
	}
	if total != 1 {
		t.Errorf("%v calls are measured; want the one of the old chain", total)
	}
	down := make(chan error)
	go func() { down <- env.Server.Shutdown(t.Context()) }()
	wantShuttingDown(t, (<-ended).Err)
	close(g.open)
	if err := <-down; err != nil {
		t.Error(err)
	}
}

// Nothing but its calls keeps a chain that was replaced, also if its methods are never called again.
func TestLiveReleasesChains(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		g := newHandlerGate()
		gone := make(chan struct{})
		live, env := liveCase(t, c, g.backend(), releasing(gone))
		ended := make(chan hauberktest.Outcome)
		go func() { ended <- env.Call(t.Context(), "wait") }()
		<-g.begun
		if err := live.Swap(hauberk.Must(hauberk.New())); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			runtime.GC()
		}
		select {
		case <-gone:
			t.Error("the chain is gone while a call runs")
		default:
		}
		close(g.open)
		if out := <-ended; out.Err != nil {
			t.Error(out.Err)
		}
		for end := time.Now().Add(30 * time.Second); ; runtime.GC() {
			select {
			case <-gone:
				return
			default:
			}
			if time.Now().After(end) {
				t.Fatal("the chain is still kept")
			}
		}
	})
}

// releasing returns a chain that closes a channel once it is garbage.
func releasing(gone chan struct{}) *hauberk.Chain {
	chain := hauberk.Must(hauberk.New(hauberk.Func(idle)))
	runtime.AddCleanup(chain, func(gone chan struct{}) { close(gone) }, gone)
	return chain
}

// A Live makes as many allocations for a call as a Chain.
func TestLiveAllocations(t *testing.T) {
	chain := idleChain(2)
	live := hauberk.NewLive(chain)
	if err := live.Swap(chain); err != nil {
		t.Fatal(err)
	}
	if got, want := allocsOf(t, unaryHandler(live)), allocsOf(t, unaryHandler(chain)); got != want {
		t.Errorf("server: %v allocations; want %v", got, want)
	}
	for _, kind := range allKinds {
		if got, want := allocsOf(t, clientCall(live, kind)), allocsOf(t, clientCall(chain, kind)); got != want {
			t.Errorf("client, %v: %v allocations; want %v", kind, got, want)
		}
	}
}
