// Package buildversion reads the version of Hauberk from the build information of a program.
package buildversion

import "runtime/debug"

const module = "github.com/hauberk-rpc/hauberk"

// Hauberk returns the version of the Hauberk module in this program. It returns "(devel)"
// if the program was built from the module's own tree, and "" if the version is not known.
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
