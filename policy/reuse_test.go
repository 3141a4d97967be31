package policy_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/policy"
)

const first = `version: 1
server:
  - use: rate_limit
    id: per-peer
    limit: 1/1h
  - use: recovery
client:
  - use: breaker
    failure_threshold: 7
`

// call makes one call through the server's chain.
func call(p *policy.Policy) codes.Code {
	return status.Code(hauberktest.Direct{}.Server(p.Server())(context.Background()))
}

// kept returns the entries whose instance was kept, by name.
func kept(p *policy.Policy) (names []string) {
	entries := p.Entries()
	for i := range entries {
		if entries[i].Kept {
			names = append(names, entries[i].Use)
		}
	}
	return names
}

// An entry that has not changed keeps its instance with its state: by its id, or by its content.
func TestPrevious(t *testing.T) {
	for _, c := range []struct {
		name, from, to string
		want           string
		again          codes.Code
	}{
		{"nothing", "", "", "rate_limit recovery breaker", codes.ResourceExhausted},
		{"comments and layout", "limit: 1/1h", "limit: \"1/1h\" # once", "rate_limit recovery breaker", codes.ResourceExhausted},
		{"the limit", "limit: 1/1h", "limit: 2/1h", "recovery breaker", codes.OK},
		{"the id", "per-peer", "per-client", "recovery breaker", codes.OK},
		{"the methods", "limit: 1/1h", "limit: 1/1h\n    methods: ['*']", "rate_limit recovery breaker", codes.ResourceExhausted},
		{"the mode", "limit: 1/1h", "limit: 1/1h\n    mode: shadow", "rate_limit recovery breaker", codes.OK},
		{"another entry", "threshold: 7", "threshold: 8", "rate_limit recovery", codes.ResourceExhausted},
		{"a new entry before it", "server:\n", "server:\n  - use: recovery\n    methods: [shop.v1.Cart/*]\n", "recovery rate_limit recovery breaker", codes.ResourceExhausted},
	} {
		t.Run(c.name, func(t *testing.T) {
			old := parse(t, first, policy.WithDir("testdata"))
			if code := call(old); code != codes.OK {
				t.Fatal(code)
			}
			text := strings.Replace(first, c.from, c.to, 1)
			if c.name == "a new entry before it" {
				text = strings.Replace(text, "  - use: recovery\nclient", "  - use: metrics\nclient", 1)
				c.want = "recovery rate_limit breaker"
			}
			p := parse(t, text, policy.WithPrevious(old), policy.WithDir("testdata"))
			if got := strings.Join(kept(p), " "); got != c.want {
				t.Errorf("kept %q, want %q", got, c.want)
			}
			if err := old.Close(); err != nil {
				t.Error(err)
			}
			if code := call(p); code != c.again {
				t.Errorf("the next call ended with %s, want %s", code, c.again)
			}
		})
	}
}

// A changed secret is a changed entry, although the text of the file is the same.
func TestPreviousSecret(t *testing.T) {
	secret := "one"
	lookup := func(string) (string, bool) { return secret, true }
	const text = "version: 1\nclient:\n  - use: authn\n    token: ${env:TOKEN}\n"
	old := parse(t, text, policy.WithEnv(lookup))
	dir := policy.WithDir(t.TempDir())
	same, err := policy.Parse("policy.yaml", []byte(text), policy.WithEnv(lookup), dir)
	if err != nil {
		t.Fatal(err)
	}
	again := parse(t, text, policy.WithEnv(lookup), policy.WithPrevious(same), dir)
	secret = "two"
	other := parse(t, text, policy.WithEnv(lookup), policy.WithPrevious(same), dir)
	if a, b := again.Entries()[0], other.Entries()[0]; !a.Kept || b.Kept || a.Hash != b.Hash || a.Hash != old.Entries()[0].Hash {
		t.Errorf("kept %t and %t, hashes %s and %s", a.Kept, b.Kept, a.Hash, b.Hash)
	}
	if err := same.Close(); err != nil {
		t.Error(err)
	}
}

// Settings show what is written in the file, and neither secrets nor values of headers.
func TestSettings(t *testing.T) {
	p := load(t, "everything.yaml", policy.WithEnv(env), policy.CheckOnly())
	var all strings.Builder
	for _, e := range p.Entries() {
		for _, s := range e.Settings {
			all.WriteString(e.Use + " " + s.String() + "\n")
		}
	}
	for _, want := range []string{
		"authn introspection.client_secret: ${file:secret}\n", "rate_limit redis.password: ${env:TOKEN}\n",
		"rate_limit limit: 100/1m\n", "rate_limit also[0].by: [tenant, method]\n", "authn jwt[0].refresh.min_interval: 30s\n",
		"authz rules[1].allow: [shop.v1.Cart/Get, shop.v1.Orders/*]\n", "logging rules[1].sampling.one_in: 100\n",
	} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("no setting %q in\n%s", want, &all)
		}
	}
	if strings.Contains(all.String(), "hunter2") {
		t.Error("a secret is shown")
	}
	plain := parse(t, "version: 1\nserver:\n- use: authn\n  introspection:\n    endpoint: https://a.example/x\n"+
		"    header: {authorization: [Bearer abc]}\n")
	if got := plain.Entries()[0].Settings[1].String(); got != "introspection.header.authorization: [(hidden)]" {
		t.Error(got)
	}
}

// The chains of a file decide on calls of all kinds, on both sides.
func TestMatrix(t *testing.T) {
	const list = ":\n- {use: recovery}\n- {use: rate_limit, limit: 1/1h, by: method}\n"
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		p := parse(t, "version: 1\nserver"+list+"client"+list)
		call := hauberktest.Direct{Kind: c.Kind}.Server(p.Server())
		if c.Side == hauberk.ClientSide {
			direct := hauberktest.Direct{Kind: c.Kind}.Client(p.Client())
			call = func(ctx context.Context) error { return direct(ctx) }
		}
		if err := call(t.Context()); err != nil {
			t.Error(err)
		}
		if err := call(t.Context()); status.Code(err) != codes.ResourceExhausted || hauberk.Reason(err) == "" {
			t.Errorf("the second call ended with %v", err)
		}
	})
}
