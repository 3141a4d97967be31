package pattern_test

import (
	"slices"
	"testing"

	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// method is a service and a name.
type method [2]string

func (m method) Service() string { return m[0] }
func (m method) Name() string    { return m[1] }

// TestIndex: an index has the patterns that match one of its methods.
func TestIndex(t *testing.T) {
	methods := []method{
		{"a.b.C", "D"}, {"a.b.C", "E"}, {"x.Y", "Z"}, {"Plain", "Do"}, {"bad..S", "M"}, {"odd.S", "a/b"}, {"a", "b"},
	}
	index := pattern.IndexOf(methods)
	for _, text := range []string{
		"*", "a.b.C/D", "a.b.C/E", "a.b.C/F", "a.b.C/*", "a.b.c/*", "a.b.*", "a.*", "a.b.C.*", "b.*", "x.*", "x.Y/Z", "x.Y/D", "Plain/Do", "Plain/*",
		"Plain.*", "bad.*", "odd.S/*", "odd.*", "a/b", "a/*", "c.*",
	} {
		p, ok := pattern.Parse(text)
		if !ok {
			t.Fatalf("%q is not a pattern", text)
		}
		want := slices.ContainsFunc(methods, func(m method) bool { return p.Matches(m[0], m[1]) })
		if got := index.Has(p); got != want {
			t.Errorf("Has(%q) is %t; want %t", text, got, want)
		}
	}
}

// TestUnmatched: "*" and patterns of services of the package grpc that are not there are never
// unmatched.
func TestUnmatched(t *testing.T) {
	set, _ := pattern.ParseAll([]string{"*", "grpc.health.v1.Health/*", "grpc.reflection.*", "grpc.*", "grpcx.A/*", "a.B/C", "a.B/X", "a.C/*", "grpc.x.Y/Z", "grpc.x.Y/z", "grpc.x.W/Z", "grpc.z.Y/Z"})
	got := pattern.IndexOf([]method{{"a.B", "C"}, {"grpc.x.Y", "Z"}}).Unmatched("For", set)
	if want := []string{`For("grpcx.A/*")`, `For("a.B/X")`, `For("a.C/*")`, `For("grpc.x.Y/z")`, `For("grpc.x.W/Z")`}; !slices.Equal(got, want) {
		t.Errorf("unmatched are %q; want %q", got, want)
	}
	for text, want := range map[string]bool{"a.B/X": true, "a.B/*": true, "a.C/C": false, "a.*": true, "b.*": false, "*": true} {
		p, _ := pattern.Parse(text)
		if got := pattern.IndexOf([]method{{"a.B", "C"}}).Serves(p); got != want {
			t.Errorf("Serves(%q) is %t; want %t", text, got, want)
		}
	}
}
