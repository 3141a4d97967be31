package lognames_test

import (
	"slices"
	"testing"

	"github.com/hauberk-rpc/hauberk/internal/lognames"
)

type names struct{ A, B, C string }

func TestFill(t *testing.T) {
	for _, test := range []struct{ given, want names }{
		{names{}, names{"a", "b", ""}},
		{names{A: "x"}, names{"x", "b", ""}},
		{names{A: lognames.Out, C: "c"}, names{"", "b", "c"}},
	} {
		got := test.given
		lognames.Fill(&got, names{"a", "b", lognames.Out})
		if got != test.want {
			t.Errorf("Fill(%v) is %v, want %v", test.given, got, test.want)
		}
	}
}

func TestTwice(t *testing.T) {
	for _, test := range []struct {
		names names
		want  []string
	}{
		{names{"a", "b", "c"}, nil},
		{names{"a", "", ""}, nil},
		{names{"a", "b", "a"}, []string{"C"}},
		{names{"msg", "level", "c"}, []string{"A", "B"}},
	} {
		if got := lognames.Twice(test.names); !slices.Equal(got, test.want) {
			t.Errorf("Twice(%v) is %q, want %q", test.names, got, test.want)
		}
	}
}

func TestHas(t *testing.T) {
	for name, want := range map[string]bool{"a": true, "msg": true, "": false, "x": false} {
		if got := lognames.Has(names{A: "a"}, name); got != want {
			t.Errorf("Has(%q) is %t", name, got)
		}
	}
}
