package hauberk_test

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// declared is an interceptor that says something of itself.
type declared struct {
	hauberk.Func

	says hauberk.Declaration
}

func (d *declared) Declare() hauberk.Declaration { return d.says }

// declare makes an interceptor that passes every call and says d of itself.
func declare(d hauberk.Declaration) hauberk.Interceptor { return &declared{idle, d} }

func authn(name string) hauberk.Interceptor {
	return declare(hauberk.Declaration{Name: name, Phase: hauberk.PhaseAuthn, Decides: true, Authenticates: true})
}

// Interceptors of each type whose zero value is nil.
type (
	nilMap   map[string]string
	nilSlice []string
	nilChan  chan int
)

func (nilMap) Intercept(context.Context, *hauberk.Call, hauberk.Next) error   { return nil }
func (nilSlice) Intercept(context.Context, *hauberk.Call, hauberk.Next) error { return nil }
func (nilChan) Intercept(context.Context, *hauberk.Call, hauberk.Next) error  { return nil }

// guard is an interceptor that turns panics into errors.
type guard struct{ hauberk.Func }

func (guard) Recovered(context.Context, *hauberk.Call, any, []byte) error {
	return status.Error(codes.Internal, "recovered")
}

var errLimit = errors.New("limit is -1; want at least 1")

func always(*hauberk.Call) bool { return true }

const (
	wantPattern = `want "package.Service/Method", "package.Service/*", "package.*" or "*"`
	wholeChain  = `Public, ErrorDomain, ExposeErrors, TrustedProxies and CountBytes hold for a whole chain: ` +
		`they are arguments of hauberk.New itself`
)

func TestNewRejects(t *testing.T) {
	ok := hauberk.Func(idle)
	bad := declare(hauberk.Declaration{Name: "limit", Decides: true, Err: errLimit})
	cases := map[string]struct {
		x    hauberk.Interceptor
		want string // after "hauberk: interceptor 1: "
	}{
		"nil":         {nil, "the interceptor is nil"},
		"nil pointer": {(*declared)(nil), "the interceptor is a nil *hauberk_test.declared"},
		"nil Func":    {hauberk.Func(nil), "the interceptor is a nil hauberk.Func"},
		"nil map":     {nilMap(nil), "the interceptor is a nil hauberk_test.nilMap"},
		"nil slice":   {nilSlice(nil), "the interceptor is a nil hauberk_test.nilSlice"},
		"nil channel": {nilChan(nil), "the interceptor is a nil hauberk_test.nilChan"},
		"nil in For":  {hauberk.For("a.B/*", ok, nil), `For("a.B/*"): interceptor 2: the interceptor is nil`},
		"nil in Except": {
			hauberk.Except("a.B/*", hauberk.Func(nil)),
			`Except("a.B/*"): interceptor 1: the interceptor is a nil hauberk.Func`,
		},
		"nil in When": {
			hauberk.When(always, (*declared)(nil)),
			"When: interceptor 1: the interceptor is a nil *hauberk_test.declared",
		},
		"nil three groups down": {
			hauberk.For("*", ok, hauberk.When(always, hauberk.Except("a.B/C", nil))),
			`For("*"): interceptor 2: When: interceptor 1: Except("a.B/C"): interceptor 1: the interceptor is nil`,
		},
		"nil in Shadow":         {hauberk.Shadow(nil), "nil: the interceptor is nil"},
		"nil pointer in Shadow": {hauberk.Shadow((*declared)(nil)), "declared: the interceptor is a nil *hauberk_test.declared"},
		"nil in Named":          {hauberk.Named("x", nil), "x: the interceptor is nil"},
		"nil pointer in Named":  {hauberk.Named("x", (*declared)(nil)), "x: the interceptor is a nil *hauberk_test.declared"},
		"nil in Named in Named": {hauberk.Named("x", hauberk.Named("y", nil)), "x: the interceptor is nil"},

		"no interceptors in For":    {hauberk.For("a.B/*"), `For("a.B/*") has no interceptors`},
		"no interceptors in Except": {hauberk.Except("a.B/*"), `Except("a.B/*") has no interceptors`},
		"no interceptors in When":   {hauberk.When(always), "When has no interceptors"},
		"no interceptors inside":    {hauberk.For("*", hauberk.For("a.B/*")), `For("*"): interceptor 1: For("a.B/*") has no interceptors`},

		"bad pattern":           {hauberk.For("a.B", ok), `bad pattern "a.B": ` + wantPattern},
		"bad pattern in Except": {hauberk.Except("", ok), `bad pattern "": ` + wantPattern},
		"nil condition":         {hauberk.When(nil, ok), "the condition of When is nil"},

		"its own error":           {bad, "limit: " + errLimit.Error()},
		"its own error in Shadow": {hauberk.Shadow(bad), "limit: " + errLimit.Error()},
		"its own error in Named":  {hauberk.Named("per-user", bad), "per-user: " + errLimit.Error()},
		"its own error in For":    {hauberk.For("*", bad), `For("*"): interceptor 1: limit: ` + errLimit.Error()},
		"Shadow of what acts": {
			hauberk.Shadow(declare(hauberk.Declaration{Name: "retry"})),
			"retry: it acts on calls rather than deciding on them, so it cannot be put in Shadow",
		},
		"Shadow of a function": {
			hauberk.Shadow(ok),
			"func: it acts on calls rather than deciding on them, so it cannot be put in Shadow",
		},
		"Shadow of a group": {
			hauberk.Shadow(hauberk.For("a.B/*", authn("authn"))),
			`For("a.B/*"): it is a group, not one interceptor: name or shadow those inside it`,
		},
		"Named group": {
			hauberk.Named("x", hauberk.When(always, ok)),
			"x: it is a group, not one interceptor: name or shadow those inside it",
		},
		"guard under When": {
			hauberk.When(always, guard{idle}),
			"When: interceptor 1: guard: it guards whole calls against panics, so it cannot run under a When: use For or Except",
		},
		"zero key": {
			declare(hauberk.Declaration{Name: "limit", Reads: []hauberk.StateKey{hauberk.Key[string]{}}}),
			"limit: it declares a key that hauberk.NewKey did not make",
		},
		"nil key": {
			declare(hauberk.Declaration{Name: "authn", Writes: []hauberk.StateKey{nil}}),
			"authn: it declares a key that hauberk.NewKey did not make",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			chain, err := hauberk.New(c.x)
			if chain != nil || err == nil {
				t.Fatalf("New returned %v, %v; want an error alone", chain, err)
			}
			if want := "hauberk: interceptor 1: " + c.want; err.Error() != want {
				t.Errorf("error:\n got %s\nwant %s", err, want)
			}
		})
	}
}

func TestNewCollectsErrors(t *testing.T) {
	_, err := hauberk.Config{
		Public:         []string{"a.B/*", "/", "a.B/*", "a/b/c"},
		ErrorDomain:    "a domain",
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), {}},
	}.New(
		nil,
		hauberk.Func(idle),
		hauberk.For("Cart/Get/*", nil, declare(hauberk.Declaration{Name: "limit", Err: errLimit})),
		hauberk.When(nil),
		hauberk.Shadow(hauberk.Func(idle)),
	)
	if !errors.Is(err, errLimit) {
		t.Errorf("errors.Is does not find the interceptor's own error in %v", err)
	}
	want := []string{
		`hauberk: Config.Public: bad pattern "/", "a/b/c": ` + wantPattern,
		`hauberk: Config.ErrorDomain is "a domain"; want a name without spaces, such as "shop.example"`,
		"hauberk: Config.TrustedProxies[1] is not a valid network",
		"hauberk: interceptor 1: the interceptor is nil",
		`hauberk: interceptor 3: bad pattern "Cart/Get/*": ` + wantPattern,
		`hauberk: interceptor 3: For("Cart/Get/*"): interceptor 1: the interceptor is nil`,
		`hauberk: interceptor 3: For("Cart/Get/*"): interceptor 2: limit: limit is -1; want at least 1`,
		"hauberk: interceptor 4: the condition of When is nil",
		"hauberk: interceptor 4: When has no interceptors",
		"hauberk: interceptor 5: func: it acts on calls rather than deciding on them, so it cannot be put in Shadow",
	}
	equal(t, "errors", strings.Split(err.Error(), "\n"), want)
}

func TestMust(t *testing.T) {
	chain, err := hauberk.New()
	if got := hauberk.Must(chain, err); got != chain || got == nil {
		t.Errorf("Must returned %v, want %v", got, chain)
	}
	_, want := hauberk.New(nil)
	defer func() {
		if got := recover(); got != want { //nolint:errorlint // the very value
			t.Errorf("Must panicked with %v, want %v", got, want)
		}
	}()
	hauberk.Must(nil, want)
}

// TestNilChain calls every method of a chain that New did not make.
func TestNilChain(t *testing.T) {
	for name, chain := range map[string]*hauberk.Chain{"nil": nil, "zero": new(hauberk.Chain)} {
		v := reflect.ValueOf(chain)
		for i := range v.NumMethod() {
			method := v.Type().Method(i).Name
			t.Run(name+"/"+method, func(t *testing.T) {
				defer func() {
					want := "hauberk: " + method + " of a nil or zero Chain; make chains with hauberk.New, and look at its error"
					if got := recover(); got != want {
						t.Errorf("panic %v, want %s", got, want)
					}
				}()
				callWithZeros(v.Method(i))
			})
		}
	}
}

// callWithZeros calls a function with zero values, and none for a variadic parameter.
func callWithZeros(f reflect.Value) {
	var args []reflect.Value
	for i := range f.Type().NumIn() {
		if !f.Type().IsVariadic() || i < f.Type().NumIn()-1 {
			args = append(args, reflect.Zero(f.Type().In(i)))
		}
	}
	f.Call(args)
}

func TestEmptyChain(t *testing.T) {
	for name, config := range map[string]hauberk.Config{
		"no settings":   {},
		"settings only": {Public: []string{"hauberk.test.v1.*"}, ErrorDomain: "example", ExposeErrors: true},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				env := c.With(config).Start(t)
				out := env.Call(t.Context(), "x", "y")
				wantCode(t, out.Err, codes.OK)
				equal(t, "responses", out.Texts(), wantTexts(c.Kind, "x", "y"))

				out = env.Do(t.Context(), "/hauberk.test.v1.TestService/Nothing", []*testpb.Request{{}})
				wantCode(t, out.Err, codes.Unimplemented)
			})
		})
	}
}

// TestNewCopiesItsArguments changes the slices that a chain was made from.
func TestNewCopiesItsArguments(t *testing.T) {
	interceptors := []hauberk.Interceptor{hauberk.Func(idle), hauberk.Func(idle)}
	inner := []hauberk.Interceptor{hauberk.Func(idle)}
	interceptors[1] = hauberk.For("*", inner...)
	chain := hauberk.Must(hauberk.New(interceptors...))
	reject := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { return errLimit })
	interceptors[0], inner[0] = reject, reject
	if err := unaryHandler(chain)(); err != nil {
		t.Errorf("a change to New's arguments changed the chain: %v", err)
	}
}

func TestInterceptorNames(t *testing.T) {
	said := func() hauberk.Interceptor { return declare(hauberk.Declaration{Name: "said", Decides: true}) }
	chain := hauberk.Must(hauberk.New(
		hauberk.Func(idle),
		&declared{Func: idle},
		guard{idle},
		hauberk.FromServer(hauberk.PassUnaryServer, hauberk.PassStreamServer),
		struct{ hauberk.Interceptor }{hauberk.Func(idle)},
		declare(hauberk.Declaration{Name: "said"}),
		hauberk.Named("given", said()),
		hauberk.Named("outer", hauberk.Named("inner", said())),
		hauberk.Named("", said()),
		hauberk.Named("shadow", hauberk.Shadow(said())),
		hauberk.Shadow(hauberk.Named("shadowed", said())),
		hauberk.For("*", hauberk.Named("in a group", said())),
	))
	e, err := chain.Explain("a.B/C")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range e.Steps {
		names = append(names, s.Interceptor)
	}
	equal(t, "names", names, []string{
		"func", "declared", "guard", "grpc", "struct { hauberk.Interceptor }", "said",
		"given", "outer", "said", "shadow", "shadowed", "in a group",
	})
}

// TestNamesHideNothing puts interceptors with their own powers under names.
func TestNamesHideNothing(t *testing.T) {
	panics := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { panic("on purpose") })
	chain := hauberk.Must(hauberk.New(
		hauberk.Named("a", hauberk.Named("b", guard{idle})),
		hauberk.Named("c", hauberk.Named("d", hauberk.Shadow(authn("authn")))),
		panics,
	))
	wantCode(t, unaryHandler(chain)(), codes.Internal)
	e, err := chain.Explain("a.B/C")
	if err != nil {
		t.Fatal(err)
	}
	if why := e.Steps[1].Why; why != "in shadow: decides and does not enforce" {
		t.Errorf("a named interceptor in shadow %s", why)
	}
}

// TestGuardUnderScopes recovers panics of the guard's methods alone.
func TestGuardUnderScopes(t *testing.T) {
	panics := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { panic("on purpose") })
	for pattern, guarded := range map[string]bool{"hauberk.test.v1.TestService/Unary": true, "other.Service/*": false} {
		t.Run(pattern, func(t *testing.T) {
			defer func() {
				if got := recover() == nil; got != guarded {
					t.Errorf("the call was guarded: %t, want %t", got, guarded)
				}
			}()
			call := unaryHandler(hauberk.Must(hauberk.New(hauberk.For(pattern, guard{idle}), panics)))
			wantCode(t, call(), codes.Internal)
		})
	}
}
