package composition_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// TestLintOfPairs: Lint accepts each two interceptors in the usual order, and reports them in the other order with the
// reason. Of some pairs the order is free: those of one place, and observers of calls and of attempts without retries.
func TestLintOfPairs(t *testing.T) {
	free := func(outer, inner string) bool {
		observes := func(name string) bool {
			return strings.HasPrefix(name, "tracing") || strings.HasPrefix(name, "metrics")
		}
		caches := []string{"cache", "coalesce", "idempotency"}
		switch {
		case observes(outer) && observes(inner):
			return true
		case observes(outer):
			// Alone it is of calls or of attempts, and so has a place on both sides of what shapes calls.
			return slices.Contains([]string{"deadline", "cache", "coalesce", "idempotency", "retry", "hedge"}, inner)
		case observes(inner):
			return slices.Contains([]string{"deadline", "cache", "coalesce", "idempotency", "retry", "hedge"}, outer)
		default:
			return slices.Contains(caches, outer) && slices.Contains(caches, inner)
		}
	}
	for i, outer := range usual {
		for _, inner := range usual[i+1:] {
			c := newClient(t)
			if outer == "retry" && inner == "hedge" {
				got := hauberk.Must(hauberk.New(c.parts[outer], c.parts[inner])).Lint(hauberk.ClientSide)
				if len(got) != 1 || !strings.Contains(got[0].Message, "the attempts multiply") {
					t.Errorf("retry and hedge: %+v", got)
				}
				continue
			}
			if got := hauberk.Must(hauberk.New(c.parts[outer], c.parts[inner])).Lint(hauberk.ClientSide); len(got) > 0 {
				t.Errorf("%s outside %s: %+v", outer, inner, got)
			}
			got := hauberk.Must(hauberk.New(c.parts[inner], c.parts[outer])).Lint(hauberk.ClientSide)
			if free(outer, inner) {
				if len(got) > 0 {
					t.Errorf("%s inside %s: %+v", outer, inner, got)
				}
				continue
			}
			if len(got) != 1 || !strings.Contains(got[0].Message, "on a client it usually runs inside: ") {
				t.Errorf("%s inside %s: %+v, want a finding with its reason", outer, inner, got)
			}
		}
	}
}

// moved returns the usual order without some interceptors, and with one at another place: before or after another.
func moved(name, side, other string, removed ...string) []string {
	list := without(append(removed, name)...)
	at := slices.Index(list, other)
	if side == "inside" {
		at++
	}
	return slices.Insert(list, at, name)
}

// unusual are orders that Lint reports, and what goes wrong in them.
var unusual = []struct {
	name, side, other string // name runs outside or inside other
	repeat            string // retry or hedge
	want              string // in the findings
	holds             func(t *testing.T, c *client, kind hauberk.Kind) bool
}{
	{
		"authn", "outside", "retry", "retry", "all attempts have the token of the first",
		func(_ *testing.T, c *client, _ hauberk.Kind) bool {
			return len(c.of(func(a arrival) string { return a.token })) == 1
		},
	},
	{
		"authn", "outside", "hedge", "hedge", "all attempts have the token of the first",
		func(_ *testing.T, c *client, _ hauberk.Kind) bool {
			return len(c.of(func(a arrival) string { return a.token })) == 1
		},
	},
	{
		"requestid", "inside", "retry", "retry", "each attempt has another request id",
		func(_ *testing.T, c *client, _ hauberk.Kind) bool {
			return len(c.of(func(a arrival) string { return a.id })) == 3
		},
	},
	{
		"requestid", "inside", "hedge", "hedge", "each attempt has another request id",
		func(_ *testing.T, c *client, _ hauberk.Kind) bool {
			return len(c.of(func(a arrival) string { return a.id })) == 3
		},
	},
	{
		"idempotency", "inside", "retry", "retry", "another idempotency key",
		func(_ *testing.T, c *client, kind hauberk.Kind) bool {
			keys := c.of(func(a arrival) string { return a.key })
			return len(keys) == 3 || kind != hauberk.Unary
		},
	},
	{
		"idempotency", "inside", "hedge", "hedge", "another idempotency key",
		func(_ *testing.T, c *client, kind hauberk.Kind) bool {
			keys := c.of(func(a arrival) string { return a.key })
			return len(keys) == 3 || kind != hauberk.Unary
		},
	},
	{
		"breaker", "outside", "retry", "retry", "it counts calls after all their attempts",
		func(t *testing.T, c *client, _ hauberk.Kind) bool {
			t.Helper()
			c.steps = slices.Repeat([]step{down}, 4)
			_ = c.Call(t.Context())
			return c.breaker.Failures()[service] == 1 // after four attempts
		},
	},
	{
		"ratelimit", "outside", "retry", "retry", "it counts calls, and not the attempts",
		func(t *testing.T, c *client, _ hauberk.Kind) bool {
			t.Helper()
			return c.permits(t) == 1
		},
	},
	{
		"concurrency", "outside", "hedge", "hedge", "it counts calls, and not the attempts",
		func(t *testing.T, c *client, _ hauberk.Kind) bool {
			t.Helper()
			return c.most == 3 && c.limit.Limits()[0].Running == 0
		},
	},
}

// TestUnusualOrders: what Lint says about an order is what happens in it.
func TestUnusualOrders(t *testing.T) {
	for _, u := range unusual {
		t.Run(u.name+" "+u.side+" "+u.other, func(t *testing.T) {
			bubbles(t, kindsOf(u.repeat), func(t *testing.T, kind hauberk.Kind) {
				r := repeats[u.repeat]
				c := start(t, kind, moved(u.name, u.side, u.other, r.other, "cache", "coalesce"), r.steps...)
				findings := c.chain.Lint(hauberk.ClientSide)
				if !slices.ContainsFunc(findings, func(f hauberk.Finding) bool { return strings.Contains(f.Message, u.want) }) {
					t.Errorf("findings %+v, want %q", findings, u.want)
				}
				if out := c.Call(t.Context()); out.Err != nil || len(c.seen()) != 3 {
					t.Errorf("%d attempts, and %v", len(c.seen()), out.Err)
				}
				synctest.Wait()
				if !u.holds(t, c, kind) {
					t.Errorf("it is not as Lint says: %+v", c.seen())
				}
			})
		})
	}
}

// TestDeadlineInside: a deadline inside retries bounds each attempt, and not the call.
func TestDeadlineInside(t *testing.T) {
	bubbles(t, kinds, func(t *testing.T, kind hauberk.Kind) {
		order := moved("deadline", "inside", "retry", "hedge", "cache", "coalesce", "idempotency")
		c := start(t, kind, order, slices.Repeat([]step{never}, 4)...)
		began := time.Now()
		out := c.Call(t.Context())
		if took := time.Since(began); took != 4*time.Second+3*backoff || status.Code(out.Err) != codes.DeadlineExceeded {
			t.Errorf("the call took %v and ended with %v", took, out.Err)
		}
		findings := c.chain.Lint(hauberk.ClientSide)
		if len(findings) == 0 || !strings.Contains(findings[0].Message, "nothing bounds the waits between them") {
			t.Errorf("findings %+v", findings)
		}
	})
}

// TestBreakerOutsideCache: a breaker outside a cache rejects calls that the cache could answer.
func TestBreakerOutsideCache(t *testing.T) {
	bubbles(t, []hauberk.Kind{hauberk.Unary}, func(t *testing.T, kind hauberk.Kind) {
		c := start(t, kind, moved("breaker", "outside", "cache", "hedge"))
		if out := c.Call(t.Context()); out.Err != nil {
			t.Fatal(out.Err)
		}
		c.breaker.ForceOpen(service)
		if out := c.Call(t.Context()); status.Code(out.Err) != codes.Unavailable {
			t.Errorf("the second call ended with %v", out.Err)
		}
		findings := c.chain.Lint(hauberk.ClientSide)
		if len(findings) == 0 || !strings.Contains(findings[0].Message, "answered from memory pass it as well") {
			t.Errorf("findings %+v", findings)
		}
	})
}

// TestRetryAndHedge: with both, the attempts of a call multiply, and the numbers that the server receives add up.
func TestRetryAndHedge(t *testing.T) {
	bubbles(t, kindsOf("hedge"), func(t *testing.T, kind hauberk.Kind) {
		c := newClient(t)
		c.steps = slices.Repeat([]step{down}, 30)
		chain := hauberk.Must(hauberk.New(c.parts["retry"], c.parts["hedge"]))
		c.Env = hauberktest.Start(t, hauberktest.Setup{
			Kind: kind, Client: chain, Backend: &hauberktest.Backend{Handle: c.handle},
		})
		_ = c.Call(t.Context())
		previous := c.of(func(a arrival) string { return a.previous })
		if want := []string{"", "1", "2", "3", "4", "5", "6"}; len(c.seen()) != 16 || !slices.Equal(previous, want) {
			t.Errorf("%d attempts with the numbers %q, want 16 with %q", len(c.seen()), previous, want)
		}
	})
}
