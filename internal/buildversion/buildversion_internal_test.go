package buildversion

import (
	"runtime/debug"
	"testing"
)

func TestIn(t *testing.T) {
	own, other := debug.Module{Path: module, Version: "v0.3.1"}, debug.Module{Path: "shop.example/shop", Version: "v9.0.0"}
	bench := debug.Module{Path: module + "/bench", Version: "(devel)"}
	for _, test := range []struct {
		name string
		info debug.BuildInfo
		want string
	}{
		{"its own program", debug.BuildInfo{Main: own}, "v0.3.1"},
		{"another's", debug.BuildInfo{Main: other, Deps: []*debug.Module{&bench, &own}}, "v0.3.1"},
		{"without it", debug.BuildInfo{Main: other, Deps: []*debug.Module{&bench}}, ""},
		{"nothing", debug.BuildInfo{}, ""},
	} {
		if got := in(&test.info); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// A test is built as a program of its module.
func TestHauberk(t *testing.T) {
	if Hauberk() == "" {
		t.Error("the version is not known")
	}
}
