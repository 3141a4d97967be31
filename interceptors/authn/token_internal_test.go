package authn

import (
	"regexp"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk"
)

// grammar is that of RFC 6750, 2.1, and RFC 9110, 11.4.
var grammar = regexp.MustCompile(`^(?i:bearer) +([A-Za-z0-9\-._~+/]+=*)$`)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "Bearer", "Bearer ", "Bearer  ", "Bearer a", "bEaReR  a.b-c_d~e+f/g==", "Bearer =", "Bearer a=b",
		"Basic YTpi", "Bearera", "Bearer\ta", "Bearer a ", "Bearer a,Bearer b", "Bearer a\r\nx: y", "Bearer \x00",
		"Bearer é", "\u212Aearer a", "Bearer " + strings.Repeat("A", 1<<16),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		token, ok := parse(value)
		want := grammar.FindStringSubmatch(value)
		switch {
		case ok != (want != nil):
			t.Fatalf("parse(%q) = %q, %t; want ok %t", value, token, ok, want != nil)
		case ok && token != want[1]:
			t.Fatalf("parse(%q) = %q; want %q", value, token, want[1])
		}
	})
}

// Patterns are those of the root package: what it takes is taken here, with the
// same meaning.
func FuzzPatterns(f *testing.F) {
	for _, seed := range []string{
		"*", "a.B/C", "/a.B/C", "a.B/*", "/a.B/*", "", "/", "a.B", "a.B/", "/C", "//C", "a.B/C/", "a/b/C", "*/C", "a.*/C",
		"a.B/C*", "a.B/**", " a.B/C", "a.B/C d", "a.B/[C]", `a.B\C`, "ä/C", "**",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		_, rootErr := hauberk.New(hauberk.Public(pattern))
		set, err := parseMethods([]string{pattern})
		if (err == nil) != (rootErr == nil) {
			t.Fatalf("%q: %v; the root package says %v", pattern, err, rootErr)
		}
		if err == nil && set.all != (pattern == "*") {
			t.Fatalf("%q: stands for all methods: %t", pattern, set.all)
		}
	})
}
