package cli

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestBuildOf(t *testing.T) {
	tagged := debug.Module{Path: "github.com/hauberk-rpc/hauberk", Version: "v0.1.0"}
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "10f8e13c04dd0a91c3f2a2b5d1b6d6a1f0f1e2d3"}
	modified := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	clean := debug.BuildSetting{Key: "vcs.modified", Value: "false"}
	tests := []struct {
		name string
		info debug.BuildInfo
		want build
	}{
		{
			"a clean checkout",
			debug.BuildInfo{GoVersion: "go1.26.8", Main: tagged, Settings: []debug.BuildSetting{revision, clean}},
			build{"v0.1.0", "10f8e13c04dd", "go1.26.8"},
		},
		{
			"a modified checkout",
			debug.BuildInfo{GoVersion: "go1.26.8", Main: tagged, Settings: []debug.BuildSetting{modified, revision}},
			build{"v0.1.0", "10f8e13c04dd+dirty", "go1.26.8"},
		},
		{
			"go install of a version",
			debug.BuildInfo{GoVersion: "go1.26.8", Main: tagged},
			build{"v0.1.0", "unknown", "go1.26.8"},
		},
		{
			"no build information",
			debug.BuildInfo{Settings: []debug.BuildSetting{modified}},
			build{"(devel)", "unknown", runtime.Version()},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := buildOf(&test.info); got != test.want {
				t.Errorf("build %+v; want %+v", got, test.want)
			}
		})
	}
}
