package hauberk_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk"
)

var (
	userKey   = hauberk.NewKey[string]("user")
	tenantKey = hauberk.NewKey[string]("tenant")
)

// limiter reads the user, and may be shadowed.
func limiter() hauberk.Interceptor {
	return declare(hauberk.Declaration{Name: "limit", Decides: true, Reads: []hauberk.StateKey{userKey}})
}

// identify writes the user, and may be shadowed.
func identify() hauberk.Interceptor {
	return declare(hauberk.Declaration{Name: "authn", Decides: true, Writes: []hauberk.StateKey{userKey}})
}

func sometimes(*hauberk.Call) bool { return true }

func TestOrderProof(t *testing.T) {
	both := func() []hauberk.Interceptor { return []hauberk.Interceptor{identify(), limiter()} }
	under := hauberk.When
	cases := map[string]struct {
		interceptors []hauberk.Interceptor
		want         string // after "hauberk: interceptor N: limit reads the state "user" before it is written: "
	}{
		"written before":             {both(), ""},
		"written in a group":         {[]hauberk.Interceptor{hauberk.For("*", identify()), limiter()}, ""},
		"written for more methods":   {[]hauberk.Interceptor{hauberk.For("a.B/*", identify()), hauberk.For("a.B/C", limiter())}, ""},
		"written for the same":       {[]hauberk.Interceptor{hauberk.For("a.B/C", both()...)}, ""},
		"written but for others":     {[]hauberk.Interceptor{hauberk.Except("x.Y/*", identify()), hauberk.For("a.B/*", limiter())}, ""},
		"written but for the same":   {[]hauberk.Interceptor{hauberk.Except("x.Y/*", identify()), hauberk.Except("x.Y/*", limiter())}, ""},
		"written by halves":          {[]hauberk.Interceptor{hauberk.For("a.B/*", identify()), hauberk.Except("a.B/*", identify()), limiter()}, ""},
		"read where nothing runs":    {[]hauberk.Interceptor{hauberk.For("a.B/*", hauberk.Except("a.B/*", limiter()))}, ""},
		"read under a condition":     {[]hauberk.Interceptor{identify(), under(sometimes, limiter())}, ""},
		"both under one condition":   {[]hauberk.Interceptor{under(sometimes, both()...)}, ""},
		"reader under one more":      {[]hauberk.Interceptor{under(sometimes, identify(), under(always, limiter()))}, ""},
		"both in shadow":             {[]hauberk.Interceptor{hauberk.Shadow(identify()), hauberk.Shadow(limiter())}, ""},
		"read in shadow":             {[]hauberk.Interceptor{identify(), hauberk.Shadow(limiter())}, ""},
		"written twice, once proven": {[]hauberk.Interceptor{under(sometimes, identify()), identify(), limiter()}, ""},
		"written under a name":       {[]hauberk.Interceptor{hauberk.Named("x", identify()), limiter()}, ""},

		"never written": {[]hauberk.Interceptor{hauberk.Func(idle), limiter()}, "no other interceptor writes it"},
		"another key of the name": {
			[]hauberk.Interceptor{
				declare(hauberk.Declaration{Name: "authn", Writes: []hauberk.StateKey{hauberk.NewKey[string]("user")}}), limiter(),
			},
			"no other interceptor writes it",
		},
		"read before": {
			[]hauberk.Interceptor{limiter(), hauberk.Func(idle), hauberk.Named("jwt", identify())},
			"jwt (interceptor 3), which writes it, runs inside it",
		},
		"read before, in a group": {
			[]hauberk.Interceptor{hauberk.For("a.B/*", limiter(), identify())},
			`authn (interceptor 1: For("a.B/*"): interceptor 2), which writes it, runs inside it`,
		},
		"by itself alone": {
			[]hauberk.Interceptor{declare(hauberk.Declaration{
				Name: "limit", Reads: []hauberk.StateKey{userKey}, Writes: []hauberk.StateKey{userKey},
			})},
			"no other interceptor writes it",
		},
		"written for one service": {
			[]hauberk.Interceptor{hauberk.For("a.B/*", identify()), limiter()},
			`authn (interceptor 1: For("a.B/*"): interceptor 1), which writes it, does not run for the methods that no pattern names`,
		},
		"written for one method": {
			[]hauberk.Interceptor{hauberk.For("a.B/C", identify()), hauberk.For("a.B/*", limiter())},
			`authn (interceptor 1: For("a.B/C"): interceptor 1), which writes it, does not run for every method of a.B`,
		},
		"written but for one method": {
			[]hauberk.Interceptor{hauberk.Except("a.B/C", identify()), hauberk.For("a.B/*", limiter())},
			`authn (interceptor 1: Except("a.B/C"): interceptor 1), which writes it, does not run for /a.B/C`,
		},
		"written for what is not read": {
			[]hauberk.Interceptor{hauberk.For("a.B/C", identify()), hauberk.For("a.B/D", limiter())},
			`authn (interceptor 1: For("a.B/C"): interceptor 1), which writes it, does not run for /a.B/D`,
		},
		"written under a condition": {
			[]hauberk.Interceptor{under(sometimes, identify()), limiter()},
			"authn (interceptor 1: When: interceptor 1), which writes it, runs only under a condition",
		},
		"written under another condition": {
			[]hauberk.Interceptor{under(sometimes, identify()), under(sometimes, limiter())},
			"authn (interceptor 1: When: interceptor 1), which writes it, runs only under a condition",
		},
		"writer under one more": {
			[]hauberk.Interceptor{under(sometimes, under(always, identify()), limiter())},
			"authn (interceptor 1: When: interceptor 1: When: interceptor 1), which writes it, runs only under a condition",
		},
		"written in shadow": {
			[]hauberk.Interceptor{hauberk.Shadow(identify()), limiter()},
			"authn (interceptor 1), which writes it, is in shadow",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := hauberk.New(c.interceptors...)
			if c.want == "" {
				if err != nil {
					t.Errorf("New rejects the chain: %v", err)
				}
				return
			}
			if err == nil {
				t.Fatal("New takes the chain")
			}
			place, why, ok := strings.Cut(err.Error(), `: limit reads the state "user" before it is written: `)
			if !ok || !strings.HasPrefix(place, "hauberk: interceptor ") || why != c.want {
				t.Errorf("error:\n got %v\nwant … %s", err, c.want)
			}
		})
	}
}

func TestOrderProofCollectsErrors(t *testing.T) {
	_, err := hauberk.New(
		declare(hauberk.Declaration{Name: "audit", Reads: []hauberk.StateKey{userKey, tenantKey}}),
		hauberk.For("a.B/*", limiter()),
		identify(),
	)
	if err == nil {
		t.Fatal("New takes the chain")
	}
	equal(t, "errors", strings.Split(err.Error(), "\n"), []string{
		`hauberk: interceptor 1: audit reads the state "user" before it is written: authn (interceptor 3), which writes it, runs inside it`,
		`hauberk: interceptor 1: audit reads the state "tenant" before it is written: no other interceptor writes it`,
		`hauberk: interceptor 2: For("a.B/*"): interceptor 1: limit reads the state "user" before it is written: ` +
			`authn (interceptor 3), which writes it, runs inside it`,
	})
}

// scoping is one group around an interceptor, and the methods of a small universe that it
// lets through, by a separate definition.
type scoping struct {
	wrap func(x hauberk.Interceptor) hauberk.Interceptor
	lets func(service, name string) bool
}

func scopings() []scoping {
	var out []scoping
	for _, service := range []string{"*", "a", "b"} {
		for _, name := range []string{"*", "x", "y"} {
			text := service + "/" + name
			if service == "*" {
				if name != "*" {
					continue
				}
				text = "*"
			}
			has := func(s, n string) bool { return (service == "*" || s == service) && (name == "*" || n == name) }
			out = append(out,
				scoping{func(x hauberk.Interceptor) hauberk.Interceptor { return hauberk.For(text, x) }, has},
				scoping{
					func(x hauberk.Interceptor) hauberk.Interceptor { return hauberk.Except(text, x) },
					func(s, n string) bool { return !has(s, n) },
				})
		}
	}
	return out
}

// proofInterceptor is an interceptor of a random chain.
type proofInterceptor struct {
	reads, writes, shadow, conditional bool
	scopes                             []scoping
}

func (l proofInterceptor) lets(service, name string) bool {
	return !slices.ContainsFunc(l.scopes, func(s scoping) bool { return !s.lets(service, name) })
}

func (l proofInterceptor) build() hauberk.Interceptor {
	d := hauberk.Declaration{Name: "interceptor", Decides: true}
	if l.reads {
		d.Reads = []hauberk.StateKey{userKey}
	}
	if l.writes {
		d.Writes = []hauberk.StateKey{userKey}
	}
	x := declare(d)
	if l.shadow {
		x = hauberk.Shadow(x)
	}
	for _, s := range l.scopes {
		x = s.wrap(x)
	}
	if l.conditional {
		x = hauberk.When(sometimes, x)
	}
	return x
}

// readsUnwritten reports whether, for a method, some interceptor reads what no interceptor
// outside has surely written.
func readsUnwritten(interceptors []proofInterceptor, service, name string) bool {
	written, writtenInShadow := false, false
	for _, l := range interceptors {
		if !l.lets(service, name) {
			continue
		}
		if l.reads && !written && (!l.shadow || !writtenInShadow) {
			return true
		}
		if l.writes && !l.conditional {
			written = written || !l.shadow
			writtenInShadow = true
		}
	}
	return false
}

// FuzzOrderProof builds chains of up to 4 interceptors, each under up to 4 scopes, and
// compares New's proof with one that tries every method of a universe that has
// more services and methods than the patterns name.
func FuzzOrderProof(f *testing.F) {
	all := scopings()
	f.Add([]byte{1, 0, 2, 0})
	f.Add([]byte{2, 0, 1, 0})
	f.Add([]byte{2 | 1<<4, 2, 1 | 1<<4, 4})
	f.Add([]byte{2 | 2<<4, 2, 5, 2 | 1<<4, 3, 1, 0})
	f.Add([]byte{2 | 4, 0, 1, 1 | 4})
	f.Add([]byte{2 | 8, 0, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		var interceptors []proofInterceptor
		for len(data) > 0 && len(interceptors) < 4 {
			b := data[0]
			data = data[1:]
			l := proofInterceptor{reads: b&1 != 0, writes: b&2 != 0, shadow: b&4 != 0, conditional: b&8 != 0}
			for n := int(b>>4) % 5; n > 0 && len(data) > 0; n-- {
				l.scopes = append(l.scopes, all[int(data[0])%len(all)])
				data = data[1:]
			}
			interceptors = append(interceptors, l)
		}
		var built []hauberk.Interceptor
		for _, l := range interceptors {
			built = append(built, l.build())
		}
		want := false
		for _, service := range []string{"a", "b", "c"} {
			for _, name := range []string{"x", "y", "z"} {
				want = want || readsUnwritten(interceptors, service, name)
			}
		}
		if _, err := hauberk.New(built...); (err != nil) != want {
			t.Errorf("New says %v of %+v; some method reads what is not written: %t", err, interceptors, want)
		}
	})
}

// TestOrderProofOfAllScopes tries the fuzz target's model on all chains of two
// writers and a reader under one scope each.
func TestOrderProofOfAllScopes(t *testing.T) {
	for _, first := range scopings() {
		for _, second := range scopings() {
			for _, reader := range scopings() {
				interceptors := []proofInterceptor{
					{writes: true, scopes: []scoping{first}},
					{writes: true, scopes: []scoping{second}},
					{reads: true, scopes: []scoping{reader}},
				}
				want := false
				for _, service := range []string{"a", "b", "c"} {
					for _, name := range []string{"x", "y", "z"} {
						want = want || readsUnwritten(interceptors, service, name)
					}
				}
				chain := []hauberk.Interceptor{interceptors[0].build(), interceptors[1].build(), interceptors[2].build()}
				if _, err := hauberk.New(chain...); (err != nil) != want {
					t.Fatalf("New says %v of %v; some method reads what is not written: %t", err, chain, want)
				}
			}
		}
	}
}

func phase(p hauberk.Phase, name string) hauberk.Interceptor {
	return declare(hauberk.Declaration{Name: name, Phase: p})
}

// The orders that the documentation teaches, outermost first.
var (
	serverOrder = []hauberk.Phase{
		hauberk.PhaseRequestID, hauberk.PhaseTracing, hauberk.PhaseMetrics, hauberk.PhaseLogging, hauberk.PhaseAudit,
		hauberk.PhaseRecovery, hauberk.PhaseServing, hauberk.PhaseCoarseLimit, hauberk.PhaseDeadline, hauberk.PhaseVersion,
		hauberk.PhaseAuthn, hauberk.PhaseField, hauberk.PhaseAuthz, hauberk.PhaseLimit, hauberk.PhaseConcurrency,
		hauberk.PhaseValidate, hauberk.PhaseErrors, hauberk.PhaseFault,
	}
	clientOrder = []hauberk.Phase{
		hauberk.PhaseRequestID, hauberk.PhaseMetrics, hauberk.PhaseLogging, hauberk.PhaseAudit, hauberk.PhaseDeadline, hauberk.PhaseCache,
		hauberk.PhaseCache, hauberk.PhaseRetry, hauberk.PhaseTracing, hauberk.PhaseMetrics, hauberk.PhaseBreaker,
		hauberk.PhaseAuthn, hauberk.PhaseLimit,
	}
)

func chainOf(phases []hauberk.Phase) *hauberk.Chain {
	var interceptors []hauberk.Interceptor
	for i, p := range phases {
		interceptors = append(interceptors, phase(p, fmt.Sprintf("interceptor %d", i+1)), hauberk.Func(idle))
	}
	return hauberk.Must(hauberk.New(interceptors...))
}

func TestLintOfDocumentedOrders(t *testing.T) {
	for side, order := range map[hauberk.Side][]hauberk.Phase{hauberk.ServerSide: serverOrder, hauberk.ClientSide: clientOrder} {
		for set := range 1 << len(order) { // every part of the order is in order
			var part []hauberk.Phase
			for i, p := range order {
				if set&(1<<i) != 0 {
					part = append(part, p)
				}
			}
			if findings := chainOf(part).Lint(side); len(findings) > 0 {
				t.Fatalf("%s, %v: %+v", side, part, findings)
			}
		}
	}
}

// TestLintOfInversions swaps each two neighbours of the documented orders.
func TestLintOfInversions(t *testing.T) {
	for side, order := range map[hauberk.Side][]hauberk.Phase{hauberk.ServerSide: serverOrder, hauberk.ClientSide: clientOrder} {
		for i := range len(order) - 1 {
			swapped := slices.Clone(order)
			swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
			outer, inner := swapped[i], swapped[i+1]
			var want []hauberk.Finding
			if outer != inner {
				first, second := fmt.Sprintf("interceptor %d", i+1), fmt.Sprintf("interceptor %d", i+2)
				want = []hauberk.Finding{{Outer: first, Inner: second, Message: fmt.Sprintf(
					"%s (%s) runs outside %s (%s); on a %s it usually runs inside", first, outer, second, inner, side)}}
			}
			got := chainOf(swapped).Lint(side)
			for i := range got {
				got[i].Message, _, _ = strings.Cut(got[i].Message, ": ") // the reason: see TestLintReasons
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, %s outside %s:\n got %+v\nwant %+v", side, outer, inner, got, want)
			}
		}
	}
}

func TestLint(t *testing.T) {
	logging, metrics := phase(hauberk.PhaseLogging, "logging"), phase(hauberk.PhaseMetrics, "metrics")
	deadline, retries := phase(hauberk.PhaseDeadline, "deadline"), phase(hauberk.PhaseRetry, "retry")
	authn, breaker := phase(hauberk.PhaseAuthn, "authn"), phase(hauberk.PhaseBreaker, "breaker")
	limit := phase(hauberk.PhaseLimit, "limit")
	errors := hauberk.Declare(hauberk.Func(idle), hauberk.Declaration{Name: "errors", Phase: hauberk.PhaseErrors, Repeatable: true})
	cases := map[string]struct {
		side         hauberk.Side
		interceptors []hauberk.Interceptor
		want         []string // outer > inner
	}{
		"no phases":                  {hauberk.ServerSide, []hauberk.Interceptor{hauberk.Func(idle), hauberk.Func(idle)}, nil},
		"every pair":                 {hauberk.ServerSide, []hauberk.Interceptor{limit, authn, logging}, []string{"limit > authn", "limit > logging", "authn > logging"}},
		"observer inside a deadline": {hauberk.ServerSide, []hauberk.Interceptor{deadline, metrics}, []string{"deadline > metrics"}},
		"of attempts, without retry": {hauberk.ClientSide, []hauberk.Interceptor{deadline, metrics}, nil},
		"of attempts":                {hauberk.ClientSide, []hauberk.Interceptor{logging, retries, metrics, breaker}, nil},
		"of calls, misplaced":        {hauberk.ClientSide, []hauberk.Interceptor{deadline, metrics, retries}, []string{"deadline > metrics"}},
		"inside the breaker":         {hauberk.ClientSide, []hauberk.Interceptor{retries, breaker, metrics}, []string{"breaker > metrics"}},
		"of different methods":       {hauberk.ServerSide, []hauberk.Interceptor{hauberk.For("a.B/*", limit), hauberk.Except("a.B/*", authn)}, nil},
		"of one common method":       {hauberk.ServerSide, []hauberk.Interceptor{hauberk.For("a.B/*", limit), hauberk.For("a.B/C", authn)}, []string{"limit > authn"}},
		"errors anywhere on clients": {hauberk.ClientSide, []hauberk.Interceptor{errors, logging, errors, retries, errors, breaker, errors}, nil},
		"errors outside on a server": {hauberk.ServerSide, []hauberk.Interceptor{errors, limit, errors}, []string{"errors > limit"}},
		"in groups and shadow": {
			hauberk.ServerSide,
			[]hauberk.Interceptor{
				hauberk.When(always, limit),
				hauberk.Shadow(declare(hauberk.Declaration{Name: "authn", Phase: hauberk.PhaseAuthn, Decides: true})),
			},
			[]string{"limit > authn"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range hauberk.Must(hauberk.New(c.interceptors...)).Lint(c.side) {
				got = append(got, f.Outer+" > "+f.Inner)
			}
			equal(t, "findings", got, c.want)
		})
	}
}

// TestLintReasons: the reason for an order is that of both phases.
func TestLintReasons(t *testing.T) {
	for _, c := range []struct {
		side         hauberk.Side
		outer, inner hauberk.Phase
		why          string
	}{
		{hauberk.ClientSide, hauberk.PhaseRetry, hauberk.PhaseRequestID, "each attempt has another request id"},
		{hauberk.ClientSide, hauberk.PhaseRetry, hauberk.PhaseDeadline, "each attempt gets the whole time"},
		{hauberk.ClientSide, hauberk.PhaseRetry, hauberk.PhaseCache, "each attempt asks the cache"},
		{hauberk.ClientSide, hauberk.PhaseBreaker, hauberk.PhaseRetry, "it counts calls after all their attempts"},
		{hauberk.ClientSide, hauberk.PhaseAuthn, hauberk.PhaseRetry, "all attempts have the token of the first"},
		{hauberk.ClientSide, hauberk.PhaseLimit, hauberk.PhaseRetry, "it counts calls, and not the attempts"},
		{hauberk.ClientSide, hauberk.PhaseCoarseLimit, hauberk.PhaseRetry, "it counts calls, and not the attempts"},
		{hauberk.ClientSide, hauberk.PhaseConcurrency, hauberk.PhaseRetry, "it counts calls, and not the attempts"},
		{hauberk.ClientSide, hauberk.PhaseBreaker, hauberk.PhaseCache, "answered from memory"},
		{hauberk.ClientSide, hauberk.PhaseAuthn, hauberk.PhaseBreaker, "a token for calls that an open circuit rejects"},
		{hauberk.ClientSide, hauberk.PhaseLimit, hauberk.PhaseBreaker, "take its permits"},
		{hauberk.ClientSide, hauberk.PhaseConcurrency, hauberk.PhaseAuthn, "calls that have no token"},
		{hauberk.ClientSide, hauberk.PhaseCache, hauberk.PhaseDeadline, "not within the deadline"},
		{hauberk.ClientSide, hauberk.PhaseFault, hauberk.PhaseRetry, "does not see the faults"},
		{hauberk.ClientSide, hauberk.PhaseLogging, hauberk.PhaseRequestID, "lacks what the inner one adds"},
		{hauberk.ServerSide, hauberk.PhaseCache, hauberk.PhaseAuthz, "answers callers that the inner one would reject"},
		{hauberk.ServerSide, hauberk.PhaseAuthz, hauberk.PhaseAuthn, "its rules see no identity"},
		{hauberk.ServerSide, hauberk.PhaseLimit, hauberk.PhaseAuthn, "works for calls that the inner one rejects"},
		{hauberk.ServerSide, hauberk.PhaseAuthn, hauberk.PhaseLogging, "not recorded"},
		{hauberk.ServerSide, hauberk.PhaseAuthn, hauberk.PhaseDeadline, "not within the deadline"},
		{hauberk.ServerSide, hauberk.PhaseFault, hauberk.PhaseAuthn, "does not see the faults"},
		{hauberk.ServerSide, hauberk.PhaseAuthn, hauberk.PhaseAudit, "not recorded"},
		{hauberk.ServerSide, hauberk.PhaseAudit, hauberk.PhaseLogging, "does not see that a record fails"},
		{hauberk.ServerSide, hauberk.PhaseAudit, hauberk.PhaseRequestID, "lacks what the inner one adds"},
		{hauberk.ServerSide, hauberk.PhaseRecovery, hauberk.PhaseLogging, "a panic has no status yet"},
		{hauberk.ServerSide, hauberk.PhaseRecovery, hauberk.PhaseAudit, "a panic has no status yet"},
		{hauberk.ServerSide, hauberk.PhaseErrors, hauberk.PhaseLogging, "without the code that clients receive"},
		{hauberk.ServerSide, hauberk.PhaseAuthn, hauberk.PhaseServing, "works for calls that the inner one rejects"},
		{hauberk.ServerSide, hauberk.PhaseAuthz, hauberk.PhaseField, "works for calls that the inner one rejects"},
	} {
		chain := hauberk.Must(hauberk.New(phase(c.outer, "outer"), phase(c.inner, "inner")))
		got := chain.Lint(c.side)
		if len(got) != 1 || !strings.Contains(got[0].Message, "it usually runs inside: ") || !strings.Contains(got[0].Message, c.why) {
			t.Errorf("%s, %s outside %s: %+v, want %q", c.side, c.outer, c.inner, got, c.why)
		}
		if back := hauberk.Must(hauberk.New(phase(c.inner, "inner"), phase(c.outer, "outer"))).Lint(c.side); len(back) > 0 {
			t.Errorf("%s, %s inside %s: %+v", c.side, c.outer, c.inner, back)
		}
	}
}

// TestLintRepeats: two interceptors that repeat the calls of a method are reported.
func TestLintRepeats(t *testing.T) {
	retries, hedges := phase(hauberk.PhaseRetry, "retry"), phase(hauberk.PhaseRetry, "hedge")
	got := hauberk.Must(hauberk.New(retries, hedges)).Lint(hauberk.ClientSide)
	want := []hauberk.Finding{{Outer: "retry", Inner: "hedge", Message: "retry and hedge both repeat calls: " +
		"hedge repeats each attempt of retry, so that the attempts multiply; use one of them for a method"}}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	apart := hauberk.Must(hauberk.New(hauberk.For("a.B/*", retries), hauberk.Except("a.B/*", hedges)))
	if got := apart.Lint(hauberk.ClientSide); len(got) > 0 {
		t.Errorf("of different methods: %+v", got)
	}
}

func TestPhaseString(t *testing.T) {
	for p, want := range map[hauberk.Phase]string{
		hauberk.PhaseAny: "any", hauberk.PhaseRequestID: "request id", hauberk.PhaseAudit: "audit",
		hauberk.PhaseCoarseLimit: "coarse limit", hauberk.PhaseField: "field", hauberk.PhaseValidate: "validate",
		hauberk.PhaseErrors: "errors", hauberk.PhaseFault: "fault", hauberk.Phase(200): "phase 200",
	} {
		if p.String() != want {
			t.Errorf("phase %d is called %q, want %q", uint8(p), p, want)
		}
	}
}

// TestLintPublic: public methods that have no effect, or that are all, are findings.
func TestLintPublic(t *testing.T) {
	for _, c := range []struct {
		public []string
		side   hauberk.Side
		want   string
	}{
		{nil, hauberk.ClientSide, ""},
		{[]string{"shop.v1.*"}, hauberk.ServerSide, ""},
		{[]string{"shop.v1.*"}, hauberk.ClientSide, "no effect on a client"},
		{[]string{"shop.v1.*", "*"}, hauberk.ServerSide, "no method of the server needs authentication"},
	} {
		findings := hauberk.Must(hauberk.Config{Public: c.public}.New()).Lint(c.side)
		switch {
		case c.want == "" && len(findings) == 0:
		case c.want != "" && len(findings) == 1 && findings[0].Outer == "Config.Public" && strings.Contains(findings[0].Message, c.want):
		default:
			t.Errorf("%q on a %v: %+v, want %q", c.public, c.side, findings, c.want)
		}
	}
}
