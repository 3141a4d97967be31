package attacks_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/policy"
)

// goodPolicy admits one call for each peer.
const goodPolicy = `version: 1
require_end: true
public: [grpc.health.v1.Health/*]
error_domain: shop.example
server:
  - use: request_id
  - use: recovery
  - use: rate_limit
    id: per-peer
    by: peer
    limit: 1/1h
    burst: 1
    algorithm: gcra
  - use: deadline
    default: 10s
client:
  - use: retry
    methods: [shop.v1.Cart/Get]
    max_attempts: 3
    retryable_status_codes: [UNAVAILABLE]
...
`

// mutation is a way to make a bad policy.
type mutation struct {
	name   string
	mutate func(r *rand.Rand, lines []string) []string
}

// replaceAny replaces a text in one of the lines that have it.
func replaceAny(from, to string) func(r *rand.Rand, lines []string) []string {
	return func(r *rand.Rand, lines []string) []string {
		var with []int
		for i, line := range lines {
			if strings.Contains(line, from) {
				with = append(with, i)
			}
		}
		i := with[r.IntN(len(with))]
		lines[i] = strings.Replace(lines[i], from, to, 1)
		return lines
	}
}

// insert inserts a line after one that has a text.
func insert(after, line string) func(r *rand.Rand, lines []string) []string {
	return func(_ *rand.Rand, lines []string) []string {
		var all []string
		for _, l := range lines {
			if all = append(all, l); strings.Contains(l, after) {
				all = append(all, line)
			}
		}
		return all
	}
}

func mutations() []mutation {
	return []mutation{
		{"an unknown key", insert("by: peer", "    colour: red")},
		{"a misspelled key", replaceAny("limit:", "limt:")},
		{"a key twice", insert("by: peer", "    by: method")},
		{"an interceptor that does not exist", replaceAny("use: re", "use: rex")},
		{"a number in place of a text", replaceAny("by: peer", "by: 7")},
		{"a list in place of a number", replaceAny("burst: 1", "burst: [1]")},
		{"a text in place of a number", replaceAny("max_attempts: 3", "max_attempts: three")},
		{"a duration without a unit", replaceAny("10s", "10")},
		{"an unknown code", replaceAny("UNAVAILABLE", "UNAVAILABEL")},
		{"a dangling name", replaceAny("algorithm: gcra", "algorithm: token_bucket")},
		{"state that nothing writes", replaceAny("by: peer", "by: user")},
		{"an unsafe value", replaceAny("1/1h", "0/1h")},
		{"a bad pattern", replaceAny("Cart/Get", "Cart/Get/*")},
		{"an id twice", insert("- use: request_id", "    id: per-peer")},
		{"the wrong side", replaceAny("use: retry", "use: authz")},
		{"no version", replaceAny("version: 1", "")},
		{"another version", replaceAny("version: 1", "version: 2")},
		{"a byte order mark", replaceAny("version: 1", "\ufeffversion: 1")},
		{"bad indentation", insert("by: peer", "   x: 1")},
		{"an alias", replaceAny("id: per-peer", "id: *x")},
		{"a second document", insert("client:", "---")},
		{"nothing", func(*rand.Rand, []string) []string { return nil }},
		{"half of the file", func(r *rand.Rand, lines []string) []string {
			return lines[:1+r.IntN(len(lines)-2)] // without the end marker
		}},
		{"a byte that is no text", func(r *rand.Rand, lines []string) []string {
			lines[r.IntN(len(lines)-1)] += "\x00"
			return lines
		}},
	}
}

var policyPlace = regexp.MustCompile(`^policy\.yaml:[1-9]\d*:[1-9]\d*: .`)

// Bad policies are rejected with a line for each error, and the one before remains in force with its state.
func TestC03BadPolicies(t *testing.T) {
	good, err := policy.Parse("policy.yaml", []byte(goodPolicy))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = good.Close() })
	call := hauberktest.Direct{}.Server(good.Server())
	if err := call(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := mutations()
	for i := range 5 * len(all) {
		m := all[i%len(all)]
		r := rand.New(rand.NewPCG(3, uint64(i)))
		lines := m.mutate(r, strings.Split(strings.TrimSuffix(goodPolicy, "\n"), "\n"))
		bad, err := policy.Parse("policy.yaml", []byte(strings.Join(lines, "\n")), policy.WithPrevious(good))
		if err == nil {
			_ = bad.Close()
			t.Errorf("%s: accepted\n%s", m.name, strings.Join(lines, "\n"))
			continue
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if !policyPlace.MatchString(line) {
				t.Errorf("%s: an error without a place: %q", m.name, line)
			}
		}
		if err := call(t.Context()); status.Code(err) != codes.ResourceExhausted {
			t.Fatalf("after %s: the call ended with %v, want RESOURCE_EXHAUSTED", m.name, err)
		}
	}
}

// loaded is the outcome of a load with its cost.
type loaded struct {
	err   error
	took  time.Duration
	bytes uint64 // allocated
}

// loadPolicy loads a policy and measures the load.
func loadPolicy(text string) (l loaded) {
	data := []byte(text)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	p, err := policy.Parse("policy.yaml", data)
	l.took = time.Since(start)
	runtime.ReadMemStats(&after)
	if err == nil {
		_ = p.Close()
	}
	l.err, l.bytes = err, after.TotalAlloc-before.TotalAlloc
	return l
}

// Files that are made to cost much are rejected, with little memory. What is allocated in all bounds what is in use
// at any time. Files of keys and entries that do not exist are within the size that a file may have: they are read,
// and only a part of the errors is listed.
func TestX09YAMLBombs(t *testing.T) {
	laughs := "version: 1\na: &a [" + strings.Repeat("x, ", 8) + "x]\n"
	for c := 'b'; c <= 'i'; c++ {
		laughs += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9), ", "))
	}
	var junk strings.Builder
	junk.WriteString("version: 1\n")
	for i := range 60_000 {
		fmt.Fprintf(&junk, "k%d: v\n", i)
	}
	for name, text := range map[string]string{
		"aliases":               laughs,
		"an alias in itself":    "version: 1\nserver: &a [*a]\n",
		"merge keys":            "version: 1\nserver: [&a {use: metrics}, {<<: *a}, {<<: [*a, *a]}]\n",
		"100 MiB":               "version: 1\n" + strings.Repeat("#23456789\n", 10<<20),
		"depth 10,000 in flow":  "version: 1\nserver: " + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000),
		"depth 10,000 in block": "version: 1\nserver:\n" + strings.Repeat("- ", 10_000) + "x\n",
		"depth 65":              "version: 1\nserver: " + strings.Repeat("[", 65) + strings.Repeat("]", 65),
		"brackets":              strings.Repeat("[", 1<<20),
		"keys":                  junk.String(),
		"entries":               "version: 1\nserver:\n" + strings.Repeat("- {use: x}\n", 90_000),
	} {
		l := loadPolicy(text)
		if l.err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		const most = 64 << 20
		if len(l.err.Error()) > 256<<10 || l.bytes > most && name != "keys" && name != "entries" {
			t.Errorf("%s: %d bytes of errors, %d bytes allocated, want at most %d", name, len(l.err.Error()), l.bytes, most)
		}
		t.Logf("%s: %v, %d KiB allocated", name, l.took, l.bytes>>10)
	}
}

// Policies whose decisions would cost much are rejected, or their rules are indexed: the cost of a decision is tested
// in interceptors/authz.
func TestX08PolicyCost(t *testing.T) {
	rules := func(n int, rule func(i int) string) string {
		var b strings.Builder
		b.WriteString("version: 1\nserver:\n- use: authn\n  mtls: {dns_names: [.example.org]}\n- use: authz\n  rules:\n")
		for i := range n {
			b.WriteString("  - " + rule(i) + "\n")
		}
		return b.String()
	}
	for name, c := range map[string]struct {
		text string
		want string // in the error; "" is accepted
	}{
		"a nested repetition": {rules(1, func(int) string {
			return `{allow: "*", when: "identity.subject.matches('^(a{1000}){1000}$')"}`
		}), "invalid"},
		"a great alternation": {rules(1, func(int) string {
			return `{allow: "*", when: "identity.subject.matches('^(` + strings.Repeat("a|", 2000) + `b)$')"}`
		}), "when"},
		"10,000 rules": {rules(10_000, func(i int) string { return fmt.Sprintf("{allow: shop.v1.S%d/*, roles: [r%d]}", i, i) }), ""},
		"10,001 expressions": {rules(10_001, func(i int) string {
			return fmt.Sprintf(`{allow: "*", when: "identity.subject == 'u%d'"}`, i)
		}), "expressions"},
		"a comprehension in another": {rules(1, func(int) string {
			return `{allow: "*", when: "identity.roles.all(a, identity.roles.all(b, identity.roles.all(c, a + b == c)))"}`
		}), "when"},
	} {
		l := loadPolicy(c.text)
		switch {
		case c.want == "" && l.err != nil:
			t.Errorf("%s: %.500v", name, l.err)
		case c.want != "" && (l.err == nil || !strings.Contains(l.err.Error(), c.want)):
			t.Errorf("%s: %.500v; want %q", name, l.err, c.want)
		}
		t.Logf("%s: %v, %d KiB allocated", name, l.took, l.bytes>>10)
	}
}
