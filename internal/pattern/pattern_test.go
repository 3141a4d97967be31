package pattern_test

import (
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
	} {
		if got, ok := pattern.Parse(text); ok {
			t.Errorf("Parse(%q) is %+v; want none", text, got)
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
	} {
		if got := test.p.Matches(test.service, test.name); got != test.want {
			t.Errorf("%s matches %s/%s: %t", test.p, test.service, test.name, got)
		}
	}
}
