package hauberk_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

const testService = "hauberk.test.v1.TestService"

// pathOf returns a method of the test service as patterns name it.
func pathOf(k hauberk.Kind) string { return strings.TrimPrefix(hauberktest.FullMethod(k), "/") }

// entered returns the names of the tags that were entered, in their order.
func (j *journal) entered() []string {
	var names []string
	for _, e := range j.all() {
		if name, ok := strings.CutSuffix(e, " in"); ok {
			names = append(names, name)
		}
	}
	return names
}

func TestScopes(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		this, another := pathOf(c.Kind), pathOf(c.Kind^hauberk.Bidi)
		var j journal
		tag := j.tag
		env := c.Start(t,
			hauberk.For("*", tag("all")),
			hauberk.Except("*", tag("none")),
			hauberk.For(this, tag("this"), tag("this too")),
			hauberk.For("/"+this, tag("slash")),
			hauberk.For(another, tag("another")),
			hauberk.Except(this, tag("except this")),
			hauberk.Except(another, tag("except another")),
			hauberk.For(testService+"/*", tag("service")),
			hauberk.Except(testService+"/*", tag("except service")),
			hauberk.For("hauberk.test.*", tag("package")),
			hauberk.Except("hauberk.*", tag("except package")),
			hauberk.For([]string{another, this}, tag("one of two")),
			hauberk.Except([]string{another, testService + "/*"}, tag("except one of two")),
			tag("plain"),
		)
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		env.Server.GracefulStop()
		equal(t, "interceptors", j.entered(), []string{"all", "this", "this too", "slash", "except another", "service", "package", "one of two", "plain"})
	})
}

// TestNestedScopes puts every kind of group into every other: all must agree, and
// the order stays that of the source.
func TestNestedScopes(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		this, another := pathOf(c.Kind), pathOf(c.Kind^hauberk.Bidi)
		var j journal
		tag := j.tag
		is := func(k hauberk.Kind) func(*hauberk.Call) bool {
			return func(call *hauberk.Call) bool { return call.Kind() == k }
		}
		env := c.Start(t,
			tag("first"),
			hauberk.When(is(c.Kind),
				tag("when"),
				hauberk.Except(another,
					tag("except in when"),
					hauberk.For(this,
						tag("for in except in when"),
						hauberk.When(is(c.Kind), tag("when in for")),
						hauberk.When(is(c.Kind^hauberk.Bidi), tag("wrong when in for")),
						hauberk.Except(this, tag("except in for")),
					),
					hauberk.For(another, tag("wrong for in except")),
				),
				hauberk.Except(this, tag("wrong except in when")),
				tag("when again"),
			),
			hauberk.When(is(c.Kind^hauberk.Bidi), tag("wrong when"), hauberk.For("*", tag("for in wrong when"))),
			hauberk.For(this, hauberk.For(testService+"/*", tag("for in for")), hauberk.For(another, tag("contradiction"))),
			tag("last"),
		)
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		env.Server.GracefulStop()
		equal(t, "interceptors", j.entered(), []string{
			"first", "when", "except in when", "for in except in when", "when in for", "when again", "for in for", "last",
		})
	})
}

// TestSiblingsInDeepGroups puts groups next to each other at every depth: none takes
// the scopes or conditions of its neighbours.
func TestSiblingsInDeepGroups(t *testing.T) {
	var j journal
	all := func(x ...hauberk.Interceptor) hauberk.Interceptor { return hauberk.For("*", x...) }
	yes := func(x ...hauberk.Interceptor) hauberk.Interceptor { return hauberk.When(always, x...) }
	never := func(*hauberk.Call) bool { return false }
	siblings := []hauberk.Interceptor{
		hauberk.For(pathOf(hauberk.Unary), hauberk.When(always, j.tag("runs"))),
		hauberk.For("a.B/*", hauberk.When(never, j.tag("never runs"))),
		hauberk.When(always, j.tag("runs too")),
		hauberk.When(never, j.tag("never runs either")),
	}
	chain, want := siblings, []string{"runs", "runs too"}
	for range 8 {
		chain = append([]hauberk.Interceptor{all(yes(chain...))}, siblings...)
		want = append(want, "runs", "runs too")
	}
	if err := unaryHandler(hauberk.Must(hauberk.New(chain...)))(); err != nil {
		t.Fatal(err)
	}
	equal(t, "interceptors", j.entered(), want)
}

// TestScopesOfUnknownMethods calls methods that no server registered.
func TestScopesOfUnknownMethods(t *testing.T) {
	for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
		t.Run(side.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			var j journal
			c := hauberktest.Case{Side: side}
			env := c.Start(t,
				hauberk.For("grpc.no.Service/*", j.tag("service")),
				hauberk.For("grpc.no.Service/Nothing", j.tag("method")),
				hauberk.Except("grpc.other.Service/*", j.tag("except")),
				hauberk.For("*", j.tag("all")),
			)
			for _, method := range []string{"/grpc.no.Service/Nothing", "/grpc.other.Service/Unary"} {
				out := env.Do(t.Context(), method, []*testpb.Request{{}})
				wantCode(t, out.Err, codes.Unimplemented)
			}
			env.Server.GracefulStop()
			equal(t, "interceptors", j.entered(), []string{"service", "method", "except", "all", "all"})
		})
	}
}

func TestConditionIsAskedOnceACall(t *testing.T) {
	for name, answer := range map[string]bool{"yes": true, "no": false} {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				var outer, inner, wrong atomic.Int32
				var j journal
				ask := func(asked *atomic.Int32, answer bool) func(*hauberk.Call) bool {
					return func(call *hauberk.Call) bool {
						if call.Kind() != c.Kind || call.Side() != c.Side {
							t.Errorf("asked for a call of kind %s on a %s", call.Kind(), call.Side())
						}
						asked.Add(1)
						return answer
					}
				}
				env := c.Start(t, hauberk.When(ask(&outer, answer),
					j.tag("a"),
					hauberk.When(ask(&inner, true), j.tag("b"), hauberk.For("*", j.tag("c")), j.tag("d")),
					hauberk.When(ask(&wrong, false), j.tag("e"), j.tag("f")),
					j.tag("g"),
				))
				for range 2 {
					wantCode(t, env.Call(t.Context()).Err, codes.OK)
				}
				env.Server.GracefulStop()
				want, below := []string(nil), int32(0)
				if answer {
					want, below = []string{"a", "b", "c", "d", "g", "a", "b", "c", "d", "g"}, 2
				}
				equal(t, "interceptors", j.entered(), want)
				if outer.Load() != 2 || inner.Load() != below || wrong.Load() != below {
					t.Errorf("2 calls asked the conditions %d, %d and %d times, want 2, %d and %d",
						outer.Load(), inner.Load(), wrong.Load(), below, below)
				}
			})
		})
	}
}

// TestConditionHoldsForAttempts makes further attempts under a condition whose
// answer would change.
func TestConditionHoldsForAttempts(t *testing.T) {
	hauberktest.CheckLeaks(t)
	backend := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
		return status.Error(codes.Unavailable, "down")
	}}
	var j journal
	var asked atomic.Int32
	once := func(*hauberk.Call) bool { return asked.Add(1) == 1 }
	thrice := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		_, _ = next(ctx, call), next(ctx, call)
		return next(ctx, call)
	})
	c := hauberktest.Case{Side: hauberk.ClientSide}
	env := c.StartWith(t, backend, thrice, hauberk.When(once, j.tag("a"), j.tag("b")))
	wantCode(t, env.Call(t.Context()).Err, codes.Unavailable)
	equal(t, "interceptors", j.entered(), []string{"a", "b", "a", "b", "a", "b"})
}

// TestConditionPanics leaves a condition unanswered where a guard takes the panic.
func TestConditionPanics(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var j journal
		env := c.Start(t, guard{idle}, j.tag("outer"),
			hauberk.When(func(*hauberk.Call) bool { panic("on purpose") }, j.tag("inner")))
		wantCode(t, env.Call(t.Context()).Err, codes.Internal)
		env.Server.GracefulStop()
		equal(t, "journal", j.all(), []string{"outer in", "outer out Internal"})
	})
}

func TestGroupsNeedAChain(t *testing.T) {
	for name, x := range map[string]hauberk.Interceptor{
		`For("a.B/*")`:    hauberk.For("a.B/*", hauberk.Func(idle)),
		`Except("a.B/C")`: hauberk.Except("a.B/C", hauberk.Func(idle)),
		"When":            hauberk.When(always, hauberk.Func(idle)),
	} {
		err := x.Intercept(t.Context(), nil, nil)
		want := "hauberk: " + name + " works as an argument of hauberk.New, or of another group in it"
		if st := hauberk.StatusOf(err); st.Code() != codes.Internal || st.Message() != want {
			t.Errorf("Intercept of a bare group: %v, want INTERNAL %s", err, want)
		}
	}
}

// TestConditionOfAttemptsBesideEachOther lets two attempts ask a condition at the
// same time and get different answers: one of them holds for all interceptors of both.
func TestConditionOfAttemptsBesideEachOther(t *testing.T) {
	var asked sync.WaitGroup
	asked.Add(2)
	var answers atomic.Int32
	changing := func(*hauberk.Call) bool {
		asked.Done()
		asked.Wait()
		return answers.Add(1) == 1
	}
	hedge := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		attempts := []*hauberk.Call{call.Attempt(), call.Attempt()}
		var wg sync.WaitGroup
		for _, a := range attempts {
			wg.Go(func() {
				if err := next(ctx, a); err != nil {
					t.Errorf("an attempt ended with %v", err)
				}
			})
		}
		wg.Wait()
		call.Adopt(attempts[0])
		return nil
	})
	var j journal
	chain := hauberk.Must(hauberk.New(hedge, hauberk.When(changing, j.tag("a"), j.tag("b"), j.tag("c"))))
	if err := clientCall(chain, hauberk.Unary)(); err != nil {
		t.Fatal(err)
	}
	if n := len(j.entered()); n != 0 && n != 6 {
		t.Errorf("of 3 interceptors under a condition, in 2 attempts, %d ran: %q", n, j.entered())
	}
}

// TestScopesCostNothing compares calls through scoped interceptors with the same calls
// through interceptors without scopes.
func TestScopesCostNothing(t *testing.T) {
	interceptor := hauberk.Func(idle)
	unary := pathOf(hauberk.Unary)
	scoped := hauberk.Must(hauberk.New(
		hauberk.For(unary, interceptor, hauberk.Except("a.B/*", interceptor)), hauberk.For(testService+"/*", interceptor), interceptor,
	))
	skipped := hauberk.Must(hauberk.New(hauberk.For("a.B/*", interceptor, interceptor), hauberk.Except(unary, interceptor), hauberk.Except("*", interceptor)))
	for name, chains := range map[string][2]*hauberk.Chain{"run": {scoped, idleChain(4)}, "skipped": {skipped, idleChain(0)}} {
		for side, start := range map[string]func(attacher) func() error{
			"server": unaryHandler,
			"client": func(c attacher) func() error { return clientCall(c, hauberk.Unary) },
		} {
			t.Run(fmt.Sprintf("%s/%s", side, name), func(t *testing.T) {
				got, want := allocsOf(t, start(chains[0])), allocsOf(t, start(chains[1]))
				if got != want {
					t.Errorf("%v allocations, without scopes %v", got, want)
				}
			})
		}
	}
}

// TestOverlappingScopes gives different methods of one chain their own interceptors.
func TestOverlappingScopes(t *testing.T) {
	hauberktest.CheckLeaks(t)
	var j journal
	chain := hauberk.Must(hauberk.New(
		hauberk.For(pathOf(hauberk.Unary), j.tag("unary")),
		hauberk.Except(pathOf(hauberk.Bidi), j.tag("not bidi")),
		hauberk.For(testService+"/*", j.tag("service")),
	))
	want := map[hauberk.Kind][]string{
		hauberk.Unary:        {"unary", "not bidi", "service"},
		hauberk.ClientStream: {"not bidi", "service"},
		hauberk.Bidi:         {"service"},
		hauberk.ServerStream: {"not bidi", "service"},
	}
	for kind, interceptors := range want {
		j.entries = nil
		env := hauberktest.Start(t, hauberktest.Setup{Server: chain, Kind: kind})
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		env.Server.GracefulStop()
		equal(t, kind.String(), j.entered(), interceptors)
	}
}

// TestMalformedNames: a name that is not well-formed matches no pattern but "*", so that
// its method is not public, and it does not evade an interceptor that decides.
func TestMalformedNames(t *testing.T) {
	runs := func(decides bool, scoped func(hauberk.Interceptor) hauberk.Interceptor, method string) bool {
		x := hauberk.Declare(hauberk.Func(idle), hauberk.Declaration{Name: "x", Decides: decides})
		e, err := hauberk.Must(hauberk.New(scoped(x))).Explain(method)
		if err != nil {
			t.Fatal(err)
		}
		return e.Steps[0].Runs
	}
	forAB := func(x hauberk.Interceptor) hauberk.Interceptor { return hauberk.For([]string{"a.*", "a.B/*"}, x) }
	exceptAB := func(x hauberk.Interceptor) hauberk.Interceptor { return hauberk.Except([]string{"a.*", "a.B/*"}, x) }
	forAll := func(x hauberk.Interceptor) hauberk.Interceptor { return hauberk.For("*", x) }
	for _, method := range []string{"/a.v1/../x.Y/C", "/a.B/..", "/a.B/../x.Y/C", "/a..B/C", "/a.B%2f/C", "/a.\x00/C", "/a.B/ü"} {
		for _, decides := range []bool{false, true} {
			if got := runs(decides, forAB, method); got != decides {
				t.Errorf("under For: %q decides %t, runs %t", method, decides, got)
			}
			if !runs(decides, exceptAB, method) || !runs(decides, forAll, method) {
				t.Errorf("%q: does not run under Except or For(\"*\")", method)
			}
		}
		public := hauberk.Must(hauberk.Config{Public: []string{"a.*", "a.B/*"}}.New(hauberk.Func(idle)))
		if e, err := public.Explain(method); err != nil || e.Public {
			t.Errorf("%q is public, %v", method, err)
		}
	}
}

// TestMalformedNamesAreNotProxied: a proxy does not serve a method without a credential
// because its name begins like that of a public one.
func TestMalformedNamesAreNotProxied(t *testing.T) {
	hauberktest.CheckLeaks(t)
	var reached atomic.Int32
	proxy := grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
		reached.Add(1)
		return status.Error(codes.Aborted, "proxied")
	})
	signIn := hauberk.Declare(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if call.Public() {
			return next(ctx, call)
		}
		return status.Error(codes.Unauthenticated, "sign in")
	}), hauberk.Declaration{Name: "sign in", Decides: true, Authenticates: true})
	config := hauberk.Config{Public: []string{hauberk.Reflection}}
	for name, interceptor := range map[string]hauberk.Interceptor{"all": signIn, "scoped": hauberk.For("shop.*", signIn)} {
		t.Run(name, func(t *testing.T) {
			conn := listenAndServe(t, hauberk.Must(config.New(interceptor)).NewServer(proxy), bufconn.Listen(1<<20))
			for method, want := range map[string]codes.Code{
				"/grpc.reflection.v1/../shop.v1.Cart/Get": codes.Unauthenticated,
				"/grpc.reflection.v1.X/..":                codes.Unauthenticated,
				"/shop.v1.Cart/Get":                       codes.Unauthenticated,
				"/grpc.reflection.v1.X/Get":               codes.Aborted,
			} {
				_, err := echo(patient(t), conn, hauberk.Unary, method)
				wantCode(t, err, want)
			}
		})
	}
	if got := reached.Load(); got != 2 {
		t.Errorf("%d calls were proxied, want 2", got)
	}
}
