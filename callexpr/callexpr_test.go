package callexpr_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callexpr"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

const none = "(none)" // no call has this key

// keyOf returns the key of a call by an expression, or none.
func keyOf(t *testing.T, expression string, r request) (got string) {
	t.Helper()
	key := callexpr.Key("k", expression)
	if err := key.Err(); err != nil {
		t.Fatal(err)
	}
	inside(t, r, func(ctx context.Context, call *hauberk.Call) {
		binary, ok := key.Append(ctx, call, nil)
		got = string(binary)
		if !ok {
			got = none
		}
		if again, _ := key.Of(ctx, call); ok && again != got {
			t.Errorf("Of returned %q, Append %q", again, got)
		}
	})
	return got
}

// A key is the value of its expression. A call for which it fails has none.
func TestKeys(t *testing.T) {
	bare := &hauberk.Identity{Subject: "bare"}
	odd := &hauberk.Identity{Subject: "odd", Claims: map[string]any{
		"func": func() {}, "struct": struct{ A int }{1}, "deep": deepClaim(10_000), "nan": math.NaN(), "text": "\xff\x00",
	}}
	const long = 64 << 10
	for _, c := range []struct {
		text string
		r    request
		want string
	}{
		{`identity.subject`, request{id: alice}, "alice"},
		{`identity.tenant + "/" + identity.issuer`, request{id: alice}, "acme/https://issuer.example"},
		{`identity.method`, request{id: alice}, "jwt"},
		{`has(identity.tenant) ? identity.tenant : identity.subject`, request{id: bare}, "bare"},
		{`identity.tenant`, request{id: bare}, none},
		{`identity.subject`, request{}, none},
		{`identity.subject`, request{id: &hauberk.Identity{Tenant: "t"}}, none},
		{`has(identity.subject) ? identity.subject : "no one"`, request{}, "no one"},
		{`"buyer" in identity.roles`, request{id: alice}, "true"},
		{`"admin" in identity.roles`, request{id: alice}, "false"},
		{`size(identity.scopes)`, request{id: alice}, "2"},
		{`identity.scopes.last()`, request{id: alice}, "write"},
		{`identity.scopes.last()`, request{id: bare}, none},
		{`string(identity.claims.plan)`, request{id: alice}, "gold"},
		{`string(identity.claims.account)`, request{id: alice}, "42"},
		{`int(identity.claims.big)`, request{id: alice}, "12345678"},
		{`uint(identity.claims.account)`, request{id: alice}, "42"},
		{`bool(identity.claims.active)`, request{id: alice}, "true"},
		{`string(identity.claims.absent)`, request{id: alice}, none},
		{`string(identity.claims.plan)`, request{id: bare}, none},
		{`string(claims.plan)`, request{id: alice}, "gold"},
		{`has(claims.plan) && claims.plan == "gold"`, request{id: alice}, "true"},
		{`has(claims.absent)`, request{id: alice}, "false"},
		{`has(claims.plan)`, request{id: bare}, none},
		{`string(claims.plan)`, request{}, none},
		{`string(identity.claims["nil"])`, request{id: alice}, none},
		{`int(identity.claims.plan)`, request{id: alice}, none},
		{`int(identity.claims.nan)`, request{id: odd}, none},
		{`string(identity.claims.func)`, request{id: odd}, none},
		{`string(identity.claims["struct"])`, request{id: odd}, none},
		{`string(identity.claims.deep)`, request{id: odd}, none},
		{`string(identity.claims.text)`, request{id: odd}, "\xff\x00"},
		{`method`, request{}, "/hauberk.test.v1.TestService/Unary"},
		{`service`, request{}, "hauberk.test.v1.TestService"},
		{`method.matches("^/hauberk\\..*$") ? "ours" : "theirs"`, request{}, "ours"},
		{`client_addr`, request{}, "192.0.2.1"},
		{`client_addr.in_cidr("192.0.2.0/24") ? "office" : client_addr`, request{}, "office"},
		{`metadata.plan.last()`, request{md: md("plan", "a", "plan", "b")}, "b"},
		{`metadata["x-plan"].last()`, request{md: md("X-Plan", "a")}, "a"},
		{`"plan" in metadata ? metadata.plan.last() : "free"`, request{md: md("x", "y")}, "free"},
		{`metadata.plan.last()`, request{md: md("plan", "")}, none},
		{`metadata.plan.last()`, request{md: md("x", "y")}, none},
		{`metadata.plan.last()`, request{}, none},
		{`metadata.plan.last()`, request{md: metadata.MD{"plan": nil}}, none},
		{`metadata.plan.last()`, request{md: md("plan", strings.Repeat("k", long))}, strings.Repeat("k", long)},
		{`metadata.exists(k, k == "plan") ? metadata.plan.last() : "free"`, request{md: md("plan", "a")}, "a"},
		{`string(size(metadata))`, request{md: md("a", "1", "b", "2")}, "2"},
		{`metadata["trace-bin"].last()`, request{md: md("trace-bin", "\x00\x01")}, "\x00\x01"},
		{`1 / int(identity.claims.account - 42.0)`, request{id: alice}, none},
		{`""`, request{}, none},
		{`"everything"`, request{}, "everything"},
		{`18446744073709551615u`, request{}, "18446744073709551615"},
		{`-9223372036854775807`, request{}, "-9223372036854775807"},
	} {
		if got := keyOf(t, c.text, c.r); got != c.want {
			t.Errorf("%s: %.100q, want %.100q", c.text, got, c.want)
		}
	}
}

// deepClaim returns a claim of n levels.
func deepClaim(n int) (claim any) {
	for range n {
		claim = map[string]any{"a": claim}
	}
	return claim
}

// An expression reads the time of each call.
func TestNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it begins at midnight UTC on 2000-01-01
		key := callexpr.Key("hour", `now.getHours()`)
		inside(t, request{}, func(ctx context.Context, call *hauberk.Call) {
			for _, want := range []string{"0", "1", "2"} {
				if got, _ := key.Of(ctx, call); got != want {
					t.Errorf("hour %q, want %q", got, want)
				}
				<-time.After(time.Hour)
			}
		})
	})
}

// The cost of a call is the value of its expression, rounded up. Other values and failures are none.
func TestCosts(t *testing.T) {
	const failed = -1
	for _, c := range []struct {
		text string
		r    request
		want int
	}{
		{`5`, request{}, 5},
		{`0`, request{}, 0},
		{`7u`, request{}, 7},
		{`2.0`, request{}, 2},
		{`2.000001`, request{}, 3},
		{`0.1`, request{}, 1},
		{`0.0`, request{}, 0},
		{`-0.0`, request{}, 0},
		{`"admin" in identity.roles ? 1 : 10`, request{id: alice}, 10},
		{`"buyer" in identity.roles ? 1 : 10`, request{id: alice}, 1},
		{`method.endsWith("/Unary") ? 3 : 1`, request{}, 3},
		{`int(identity.claims.account)`, request{id: alice}, 42},
		{`double(identity.claims.account) / 4.0`, request{id: alice}, 11},
		{`int(metadata.weight.last())`, request{md: md("weight", "12")}, 12},
		{`2147483647`, request{}, math.MaxInt32},
		{`2147483648`, request{}, math.MaxInt32},
		{`9223372036854775807`, request{}, math.MaxInt32},
		{`18446744073709551615u`, request{}, math.MaxInt32},
		{`1e300`, request{}, math.MaxInt32},

		{`-1`, request{}, failed},
		{`-0.5`, request{}, failed},
		{`-9223372036854775807`, request{}, failed},
		{`0.0 / 0.0`, request{}, failed},
		{`1.0 / 0.0`, request{}, failed},
		{`-1.0 / 0.0`, request{}, failed},
		{`double("NaN")`, request{}, failed},
		{`double(metadata.weight.last())`, request{md: md("weight", "NaN")}, failed},
		{`double(metadata.weight.last())`, request{md: md("weight", "-Inf")}, failed},
		{`int(metadata.weight.last())`, request{md: md("weight", "-12")}, failed},
		{`int(metadata.weight.last())`, request{md: md("weight", "99999999999999999999")}, failed},
		{`int(metadata.weight.last())`, request{md: md("weight", "heavy")}, failed},
		{`int(metadata.weight.last())`, request{}, failed},
		{`int(identity.claims.weight)`, request{id: alice}, failed},
		{`int(identity.claims.account)`, request{}, failed},
		{`1 / int(identity.claims.account - 42.0)`, request{id: alice}, failed},
		{`9223372036854775807 + size(method)`, request{}, failed},
	} {
		cost := callexpr.Cost(c.text)
		if err := cost.Err(); err != nil {
			if c.want != failed || !strings.Contains(err.Error(), "divi") && !strings.Contains(err.Error(), "overflow") {
				t.Error(err)
			}
			continue
		}
		inside(t, c.r, func(ctx context.Context, call *hauberk.Call) {
			got, ok := cost.Of(ctx, call)
			if !ok {
				got = failed
			}
			if got != c.want {
				t.Errorf("%s: %d, want %d", c.text, got, c.want)
			}
		})
	}
}

// What an expression must not be is an error with its text, the place and what would be right.
func TestBadExpressions(t *testing.T) {
	const unknown = "undeclared reference to "
	for _, c := range []struct {
		text  string
		words []string
	}{
		{"", []string{"the expression is empty", "identity.tenant"}},
		{" \n\t", []string{"the expression is empty"}},
		{"\x00", []string{"Syntax error", "want an expression in CEL"}},
		{`identity.subject +`, []string{`"identity.subject +": 1:19: Syntax error`}},
		{`user`, []string{`"user": 1:1: ` + unknown + "'user'", "want method, service, identity"}},
		{"identity.tenant +\n  user", []string{"2:3: " + unknown + "'user'"}},
		{`request.text`, []string{unknown + "'request'", "the request is not read yet when a call is charged"}},
		{`size(request.items)`, []string{"1:6: ", "the request is not read yet"}},
		{`allow(method)`, []string{unknown + "'allow'", "in_cidr or last"}},
		{`identity.subjct`, []string{"1:9: undefined field 'subjct'", "want subject, issuer, tenant"}},
		{`identity.subject + 1`, []string{"1:18: found no matching overload", "string(x), int(x)"}},
		{`identity.claims.account`, []string{"it returns dyn", "string(x)"}},
		{`identity`, []string{"it returns hauberk.Identity"}},
		{`metadata`, []string{"it returns map(string, list(string))"}},
		{`identity.roles`, []string{"it returns list(string)", "x.last()"}},
		{`now`, []string{"it returns timestamp", "string(x)"}},
		{`null`, []string{"it returns null"}},
		{`b"a"`, []string{"it returns bytes"}},
		{`metadata.plan[0]`, []string{"which callers choose", `metadata["x"].last()`}},
		{`metadata["plan"][0]`, []string{"which callers choose"}},
		{`metadata["Plan"].last()`, []string{`metadata key "Plan", which no call has`, `want "plan"`}},
		{`metadata["grpc-timeout"].last()`, []string{"belongs to the protocol"}},
		{`metadata[identity.subject].last()`, []string{"not a literal"}},
		{`client_addr.in_cidr("10.0.0.1/8")`, []string{"bits beyond its length"}},
		{`method.matches("Get")`, []string{"a part of a value"}},
		{`method.matches(identity.subject)`, []string{"not a literal"}},
		{`method.matches("^(a$")`, []string{"1:16: invalid matches argument", "RE2"}},
		{`method.matches("^(a{1000}){1000}$")`, []string{"1:16: invalid matches argument", "at most 500 instructions"}},
		{`method.matches("^(a{100}){9}$")`, []string{"1:16: regex program size 922 exceeds limit of 500"}},
		{`metadata.a.exists(a, metadata.b.exists(b, a + b == b + a))`, []string{"it can cost", "want at most 100000"}},
		{`metadata.a.all(a, metadata.b.all(b, metadata.c.all(c, a == b)))`, []string{"nesting", "at most 2 macros"}},
		{strings.Repeat("(", 200) + "1" + strings.Repeat(")", 200), []string{"recursion"}},
		{strings.Repeat("-(", 100) + "1" + strings.Repeat(")", 100), []string{"recursion"}},
		{strings.Repeat("[", 100_000), []string{"it has 100000 bytes; want at most 8192"}},
		{`"` + strings.Repeat("k", 10<<10) + `"`, []string{`"\"kkk`, "it has 10242 bytes; want at most 8192"}},
		{strings.Repeat("1 + ", 2000) + "1", []string{"recursion"}},
	} {
		key, cost := callexpr.Key("plan", c.text), callexpr.Cost(c.text)
		wantErr(t, key.Err(), append(c.words, `callexpr.Key "plan": `)...)
		if err := key.Err(); err != nil && len(err.Error()) > 1000 {
			t.Errorf("an error of %d bytes: %.200s", len(err.Error()), err)
		}
		wantErr(t, cost.Err(), "callexpr.Cost: ")
		if _, ok := cost.Of(t.Context(), nil); ok || cost.Reads() != nil {
			t.Errorf("%.100s: a bad cost has a value", c.text)
		}
	}
}

// Types that keys or costs alone do not have are errors, and so is a key without a name.
func TestTypes(t *testing.T) {
	bad, unnamed, fine := callexpr.Key("k", `1.5`), callexpr.Key("", `method`), callexpr.Key("k", "method")
	wantErr(t, bad.Err(), `"1.5": it returns double; want string, int, uint or bool`)
	wantErr(t, unnamed.Err(), "callexpr.Key was given an empty name")
	wantErr(t, callexpr.Cost(`method`).Err(), `"method": it returns string; want int, uint or double`)
	wantErr(t, callexpr.Cost(`true`).Err(), "it returns bool; want int, uint or double")
	wantErr(t, callexpr.Cost(`request.weight`).Err(), "1:1: ", "the request is not read yet when a call is charged")
	wantErr(t, callexpr.CallCost{}.Err(), "a zero CallCost has no expression")
	all := callkey.All(callkey.Method(), callexpr.Key("k", `user`))
	wantErr(t, all.Err(), `callexpr.Key "k"`)
	if fine.Err() != nil || fine.Name() != "k" || fine.IsGlobal() || fine.IsPeer() {
		t.Errorf("key %+v", fine)
	}
}

// Only an expression with the identity reads state.
func TestReads(t *testing.T) {
	for text, want := range map[string]int{
		`size(identity.subject)`: 1, `has(identity.tenant) ? 1 : 2`: 1, `size(method)`: 0, `size(metadata)`: 0,
		`size("identity")`: 0,
	} {
		key := callexpr.Key("k", text)
		if err := errors.Join(key.Err(), callexpr.Cost(text).Err()); err != nil {
			t.Error(err)
		}
		for _, reads := range [][]hauberk.StateKey{key.Reads(), callexpr.Cost(text).Reads()} {
			if len(reads) != want || want == 1 && reads[0] != hauberk.StateKey(hauberk.IdentityKey) {
				t.Errorf("%s reads %v", text, reads)
			}
		}
	}
}

// An evaluation that costs more than MaxCost, since a call has larger values than the estimate
// assumes, fails.
func TestCostAtRunTime(t *testing.T) {
	values := func(n int) metadata.MD {
		m := metadata.MD{}
		for i := range n {
			m.Append("x", fmt.Sprintf("%04d", i))
		}
		return m
	}
	keys := func(n int) metadata.MD {
		m := metadata.MD{}
		for i := range n {
			m.Set(fmt.Sprintf("k%d", i), "v")
		}
		return m
	}
	roles := func(n int) *hauberk.Identity { return &hauberk.Identity{Subject: "a", Roles: values(n)["x"]} }
	claims := func(n int) *hauberk.Identity {
		return &hauberk.Identity{Subject: "a", Claims: map[string]any{"x": values(n)["x"]}}
	}
	const n = 50_000
	for text, c := range map[string]struct{ small, large request }{
		`metadata.x.exists(v, v == "none") ? 1 : 2`:             {request{md: values(100)}, request{md: values(n)}},
		`metadata.exists(k, k == "none") ? 1 : 2`:               {request{md: keys(100)}, request{md: keys(n)}},
		`identity.roles.exists(v, v == "none") ? 1 : 2`:         {request{id: roles(100)}, request{id: roles(n)}},
		`identity.claims.x.exists(v, v == "none") ? 1 : 2`:      {request{id: claims(100)}, request{id: claims(n)}},
		`metadata.x.last().contains("none") ? 1 : 2`:            {request{md: values(1)}, request{md: md("x", strings.Repeat("n", 16<<20))}},
		`size(metadata.x.map(v, v + v).filter(v, v != "none"))`: {request{md: values(2)}, request{md: values(n)}},
	} {
		if got := keyOf(t, text, c.small); got != "2" {
			t.Errorf("%s, small: %s", text, got)
		}
		if got := keyOf(t, text, c.large); got != none {
			t.Errorf("%s, large: %s", text, got)
		}
	}
}

// On a client the metadata is what the call sends. There is no address of a client.
func TestClients(t *testing.T) {
	got := map[string]string{}
	read := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		for _, text := range []string{
			`metadata.plan.last()`, `metadata.exists(k, k == "plan") ? "sent" : "not sent"`, `metadata.absent.last()`,
			`client_addr`, `method`, `identity.subject`,
		} {
			key := callexpr.Key("k", text)
			value, ok := key.Of(ctx, call)
			if got[text] = value; !ok {
				got[text] = none
			}
		}
		return next(ctx, call)
	})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "Plan", "gold", "user", "alice")
	c := hauberktest.Case{Side: hauberk.ClientSide}
	if err := c.Start(t, login{}, read).Call(ctx).Err; err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`metadata.plan.last()`: "gold", `metadata.exists(k, k == "plan") ? "sent" : "not sent"`: "sent",
		`metadata.absent.last()`: none, `client_addr`: none, `method`: "/hauberk.test.v1.TestService/Unary",
		`identity.subject`: "alice",
	} {
		if got[text] != want {
			t.Errorf("%s: %q, want %q", text, got[text], want)
		}
	}
}

// Concurrent calls do not see each other's values.
func TestConcurrentCalls(t *testing.T) {
	key := callexpr.Key("k", `identity.subject + "," + metadata.plan.last() + "," + client_addr`)
	chain := hauberk.Must(hauberk.New(login{}, hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		plan := call.Metadata(ctx, "plan")
		got, ok := key.Of(ctx, call)
		if want := "user-" + plan[0] + "," + plan[0] + ",192.0.2.1"; !ok || got != want {
			t.Errorf("key %q, want %q", got, want)
		}
		return next(ctx, call)
	})))
	serve := hauberktest.Direct{}.Server(chain)
	var wg sync.WaitGroup
	for i := range 16 {
		plan := fmt.Sprint(i)
		r := request{id: &hauberk.Identity{Subject: "user-" + plan}, md: md("plan", plan)}
		wg.Go(func() {
			for range 200 {
				if err := serve(r.context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// The allocations of a key are those of CEL: about one for each variable.
func TestAllocations(t *testing.T) {
	for _, m := range measured() {
		inside(t, benchmarked, func(ctx context.Context, call *hauberk.Call) {
			var room [64]byte
			got := testing.AllocsPerRun(1000, func() {
				if _, ok := m.key.Append(ctx, call, room[:0]); !ok {
					t.Fatalf("%s: no key", m.name)
				}
			})
			if got > m.allow && !raceEnabled {
				t.Errorf("%s: %v allocations, budget %v", m.name, got, m.allow)
			}
		})
	}
}
