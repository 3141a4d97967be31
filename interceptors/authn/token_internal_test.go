package authn

import (
	"regexp"
	"strings"
	"testing"
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
