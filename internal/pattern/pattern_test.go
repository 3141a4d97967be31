package pattern_test

import (
	"slices"
	"testing"

	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]pattern.Pattern{
		"*":                 {},
		"shop.v1.Cart/*":    {Service: "shop.v1.Cart"},
		"/shop.v1.Cart/*":   {Service: "shop.v1.Cart"},
		"shop.v1.Cart/Get":  {Service: "shop.v1.Cart", Name: "Get"},
		"/shop.v1.Cart/Get": {Service: "shop.v1.Cart", Name: "Get"},
		"shop.v1.*":         {Package: "shop.v1"},
		"/shop.*":           {Package: "shop"},
	} {
		if got, ok := pattern.Parse(text); !ok || got != want {
			t.Errorf("Parse(%q) is %+v, %t; want %+v", text, got, ok, want)
		}
	}
	for _, text := range []string{
		"", "/", "//", "a", "a/", "/a", "a//b", "a/b/c", "//a/b", "*/b", "*/*", "a/b*", "a/?", "a/[b]", "a b/c", "a/b\n", "a/\xff", ".*/b", "a.*/b", ".*", "*.*", "a.b*",
		"..*", "a..*", "a..b.*", ".a.*", "a.*.*", "a..B/*", "a./C", ".a/C", "a/.b", "a/..", "a/b.", "a%2eb/c", "a:b/c", "ü.*",
	} {
		if got, ok := pattern.Parse(text); ok {
			t.Errorf("Parse(%q) is %+v; want none", text, got)
		}
	}
}

// A pattern covers another one if it has all of its methods.
func TestCovers(t *testing.T) {
	texts := []string{"*", "a.*", "a.b.*", "ab.*", "a.b.C/*", "a.b.D/*", "a.b.C/E", "a.b.C/F", "ab.C/E"}
	covered := map[string][]string{
		"*": texts, "a.*": {"a.*", "a.b.*", "a.b.C/*", "a.b.D/*", "a.b.C/E", "a.b.C/F"},
		"a.b.*": {"a.b.*", "a.b.C/*", "a.b.D/*", "a.b.C/E", "a.b.C/F"}, "ab.*": {"ab.*", "ab.C/E"},
		"a.b.C/*": {"a.b.C/*", "a.b.C/E", "a.b.C/F"}, "a.b.D/*": {"a.b.D/*"},
		"a.b.C/E": {"a.b.C/E"}, "a.b.C/F": {"a.b.C/F"}, "ab.C/E": {"ab.C/E"},
	}
	for _, text := range texts {
		p, _ := pattern.Parse(text)
		for _, other := range texts {
			q, _ := pattern.Parse(other)
			if got, want := p.Covers(q), slices.Contains(covered[text], other); got != want {
				t.Errorf("%q covers %q: %t", text, other, got)
			}
		}
	}
}

func TestMatches(t *testing.T) {
	all, service, one := pattern.Pattern{}, pattern.Pattern{Service: "a.B"}, pattern.Pattern{Service: "a.B", Name: "C"}
	pkg := pattern.Pattern{Package: "a.b"}
	for _, test := range []struct {
		p             pattern.Pattern
		service, name string
		want          bool
	}{
		{all, "x.Y", "Z", true},
		{service, "a.B", "Z", true},
		{service, "a.b", "C", false},
		{one, "a.B", "C", true},
		{one, "a.B", "c", false},
		{one, "x.Y", "C", false},
		{pkg, "a.b.C", "D", true},
		{pkg, "a.b.c.D", "E", true},
		{pkg, "a.b", "C", false},
		{pkg, "a.bc.D", "E", false},
		{pkg, "x.a.b.C", "D", false},
		{pkg, "a.b.C-1_x~", "D", true},
		{pkg, "a.b.C/../x.Y", "D", false},
		{pkg, "a.b./../x.Y", "D", false},
		{pkg, "a.b..C", "D", false},
		{pkg, "a.b.", "D", false},
		{pkg, "a.b.C%2fx", "D", false},
		{pkg, "a.b.C\x00", "D", false},
		{pkg, "a.b.ü", "D", false},
		{pkg, "a.b.C", "..", false},
		{pkg, "a.b.C", "", false},
		{service, "a.B", "..", false},
		{service, "a.B", "", false},
		{service, "a.B", "a b", false},
		{all, "a.b/../x.Y", "..", true},
		{all, "", "", true},
	} {
		if got := test.p.Matches(test.service, test.name); got != test.want {
			t.Errorf("%s matches %s/%s: %t", test.p, test.service, test.name, got)
		}
	}
}

// A set matches what one of its patterns matches, and an empty one nothing.
func TestSet(t *testing.T) {
	set, bad := pattern.ParseAll([]string{"a.B/*", "", "c.D/E", "x/y/z"})
	if !slices.Equal(set, pattern.Set{{Service: "a.B"}, {Service: "c.D", Name: "E"}}) || !slices.Equal(bad, []string{"", "x/y/z"}) {
		t.Errorf("ParseAll returned %v, %q", set, bad)
	}
	for method, want := range map[[2]string]bool{{"a.B", "C"}: true, {"c.D", "E"}: true, {"c.D", "F"}: false, {"x", "y"}: false} {
		if got := set.Matches(method[0], method[1]); got != want {
			t.Errorf("%v: %t", method, got)
		}
	}
	if set, bad := pattern.ParseAll(nil); len(set)+len(bad) != 0 || set.Matches("a", "b") {
		t.Errorf("no patterns: %v, %q", set, bad)
	}
}
