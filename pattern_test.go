package hauberk

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// parsePattern parses one pattern.
func parsePattern(text string) (pattern.Pattern, error) {
	parsed, err := parsePatterns([]string{text})
	if err != nil {
		return pattern.Pattern{}, err
	}
	return parsed[0], nil
}

func passOn(ctx context.Context, call *Call, next Next) error { return next(ctx, call) }

func TestPattern(t *testing.T) {
	cases := []struct {
		text, canonical string
		matches, leaves []string
	}{
		{"*", "*", []string{"/a.B/C", "/x/y", "/a/b/c"}, nil},
		{"a.B/*", "a.B/*", []string{"/a.B/C", "/a.B/D"}, []string{"/a.Bx/C", "/a/C", "/x.a.B/C", "/A.B/C", "/a.B/x/C"}},
		{"/a.B/*", "a.B/*", []string{"/a.B/C"}, []string{"/a.C/C"}},
		{"a.B/C", "a.B/C", []string{"/a.B/C"}, []string{"/a.B/D", "/a.B/CC", "/a.B/c", "/a.C/C"}},
		{"/a.B/C", "a.B/C", []string{"/a.B/C"}, []string{"/a.B/D"}},
		{"B/C", "B/C", []string{"/B/C"}, []string{"/a.B/C"}},
		{"a.b.*", "a.b.*", []string{"/a.b.C/D", "/a.b.c.D/E"}, []string{"/a.b/C", "/a.bc.D/E", "/x.a.b.C/D"}},
		{"/a.*", "a.*", []string{"/a.b.C/D"}, []string{"/A.b.C/D"}},
		{"a-b_c.1/~d", "a-b_c.1/~d", []string{"/a-b_c.1/~d"}, nil},
	}
	for _, c := range cases {
		t.Run(c.text, func(t *testing.T) {
			p, err := parsePattern(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if p.String() != c.canonical {
				t.Errorf("String() is %q, want %q", p, c.canonical)
			}
			for _, m := range c.matches {
				wantMatch(t, p, m, true)
			}
			for _, m := range c.leaves {
				wantMatch(t, p, m, false)
			}
		})
	}
}

func wantMatch(t *testing.T, p pattern.Pattern, full string, want bool) {
	t.Helper()
	m, err := newMethod(full, Unary, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Matches(m.service, m.name); got != want {
		t.Errorf("%s matches %s: %t, want %t", p, full, got, want)
	}
}

func TestBadPattern(t *testing.T) {
	for _, text := range []string{
		"", "/", "//", "a.B", "/a.B", "a.B/", "/C", ".*", "*.*", "a.*.*", "//C", "a.B//C", "//a.B/C", "a/b/C", "/a/b/*", "a.B/C/",
		"**", "*/*", "*/C", "/*", "a.*/C", "a.B/C*", "a.B/*C", "a.B/**", "a.B/?", "a.B/[CD]", "a.B/{C,D}", "a.B/(C|D)",
		"^a.B/C$", `a\.B/C`, `"a.B/C"`, "'a.B/C'", " a.B/C", "a.B/C ", "a.B /C", "a.B/C\n", "a.B/\x00", "a.B/\x7f",
		"a.B/Ç", "a.B/\xff", "a.B/C a.B/D", "..*", "a..*", "a..B/C", ".a/C", "a./C", "a/..", "a%2e/C", "a:B/C",
	} {
		_, err := parsePattern(text)
		if err == nil {
			t.Errorf("%q is accepted as a pattern", text)
			continue
		}
		if _, err := New(For(text, Func(passOn))); err == nil {
			t.Errorf("New takes %q for a pattern", text)
		}
	}
}

// What a pattern is, said in another way: names are identifiers with dots between them.
const identifiers = `[0-9A-Z_a-z~-]+(?:\.[0-9A-Z_a-z~-]+)*`

var (
	patternModel = regexp.MustCompile(`^(?:\*|/?(` + identifiers + `)/(\*|` + identifiers + `)|/?(` + identifiers + `)\.\*)$`)
	nameModel    = regexp.MustCompile(`^/` + identifiers + `/` + identifiers + `$`)
)

// modelMatches reports whether a pattern of the model matches a method.
func modelMatches(text, full string) bool {
	groups := patternModel.FindStringSubmatch(text)
	switch service, name, pkg := groups[1], groups[2], groups[3]; {
	case text == "*":
		return true
	case !nameModel.MatchString(full):
		return false
	case pkg != "":
		return strings.HasPrefix(full, "/"+pkg+".")
	case name == "*":
		return strings.HasPrefix(full, "/"+service+"/")
	default:
		return full == "/"+service+"/"+name
	}
}

func FuzzPattern(f *testing.F) {
	for _, text := range []string{"*", "a.B/*", "/a.B/C", "a.B/C", "a/b/C", "/a/b/*", "", "/", "a.B/", "a.B/C\n", "a.B/Ç", "a.B/**"} {
		f.Add(text, "/a.B/C")
	}
	f.Add("a.*", "/a.b/C")
	f.Add("a/*", "/a/b/C")
	f.Add("a.B/*", "/a.B/*")
	f.Add("a.*", "/a.b/../x.Y/C")
	f.Add("a.B/*", "/a.B/..")
	f.Fuzz(func(t *testing.T, text, full string) {
		p, err := parsePattern(text)
		if good := patternModel.MatchString(text); good != (err == nil) {
			t.Fatalf("parsing %q gave %v; by the model it is good: %t", text, err, good)
		}
		chain, newErr := New(For(text, Func(passOn)))
		if (newErr == nil) != (err == nil) {
			t.Fatalf("New says %v of %q, parsePattern %v", newErr, text, err)
		}
		if err != nil {
			return
		}
		if again, err := parsePattern(p.String()); err != nil || again != p {
			t.Errorf("%q is written %q, which parses as %v, %v", text, p, again, err)
		}
		m, err := newMethod(full, Unary, true)
		if err != nil {
			return
		}
		want := modelMatches(text, full)
		if got := p.Matches(m.service, m.name); got != want {
			t.Errorf("%q matches %q: %t, by the model %t", text, full, got, want)
		}
		if e, err := chain.Explain(full); err != nil || e.Steps[0].Runs != want {
			t.Errorf("Explain says %+v, %v of %q under %q; by the model the interceptor runs: %t", e, err, full, text, want)
		}
	})
}

// FuzzSplitMethod checks which HTTP/2 paths are accepted as method names: those that
// grpc-go routes, with a service and a method that are not empty.
func FuzzSplitMethod(f *testing.F) {
	for _, full := range []string{"/a.B/C", "a.B/C", "/a/b/C", "//C", "/a.B/", "/a.B", "/", "", "///", "/a.B/C/", "/\x00/\xff"} {
		f.Add(full)
	}
	model := regexp.MustCompile(`^(?s:/(.+)/([^/]+))$`)
	f.Fuzz(func(t *testing.T, full string) {
		service, name, err := splitMethod(full)
		groups := model.FindStringSubmatch(full)
		if (groups != nil) != (err == nil) {
			t.Fatalf("splitting %q gave %v; the model %q", full, err, groups)
		}
		if err != nil {
			if service != "" || name != "" || !strings.Contains(err.Error(), `want "/package.Service/Method"`) {
				t.Errorf("splitting %q gave %q, %q, %v", full, service, name, err)
			}
			return
		}
		if service != groups[1] || name != groups[2] {
			t.Errorf("splitting %q gave %q and %q, want %q and %q", full, service, name, groups[1], groups[2])
		}
	})
}
