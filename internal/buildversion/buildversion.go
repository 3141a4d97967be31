// Package buildversion tells the version of Hauberk that a program was built with.
package buildversion

import "runtime/debug"

const module = "github.com/hauberk-rpc/hauberk"

// Hauberk returns the version of the Hauberk module in this program, "(devel)"
// where it was built from its own tree, and "" where that is not known.
func Hauberk() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return in(info)
}

func in(info *debug.BuildInfo) string {
	if info.Main.Path == module {
		return info.Main.Version
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			return dep.Version
		}
	}
	return ""
}
