package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
)

// Values for what the build did not record.
const (
	devel   = "(devel)"
	unknown = "unknown"
)

// build describes how the program was built.
type build struct {
	version string // of the module, such as v0.1.0
	commit  string // of the repository, with "+dirty" if files were modified
	release string // of Go
}

func versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit, and the releases of Go and grpc-go",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if on, _ := cmd.Flags().GetBool("json"); on {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(versionResult())
			}
			_, err := io.WriteString(cmd.OutOrStdout(), versionLine())
			return err
		},
	}
	cmd.Flags().Bool("json", false, "write the result as JSON on stdout")
	return cmd
}

// versionResult is the output of `hauberk version --json`.
func versionResult() map[string]string {
	b := thisBuild()
	return map[string]string{
		"version": b.version, "commit": b.commit, "go": b.release, "grpc_go": grpc.Version,
		"platform": runtime.GOOS + "/" + runtime.GOARCH,
	}
}

// versionLine is the output of `hauberk version` and `hauberk --version`.
func versionLine() string {
	b := thisBuild()
	return fmt.Sprintf("hauberk %s (commit %s, %s, grpc-go %s, %s/%s)\n",
		b.version, b.commit, b.release, grpc.Version, runtime.GOOS, runtime.GOARCH)
}

func thisBuild() build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return buildOf(info)
}

// buildOf reads the build information. Go records the commit only for a build in a
// checked-out repository: "go install module@version" has a version, but no commit.
func buildOf(info *debug.BuildInfo) build {
	b := build{version: info.Main.Version, commit: unknown, release: info.GoVersion}
	if b.version == "" {
		b.version = devel
	}
	if b.release == "" {
		b.release = runtime.Version()
	}
	modified := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && s.Value != "":
			b.commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = "+dirty"
		}
	}
	if b.commit != unknown {
		b.commit = b.commit[:min(len(b.commit), 12)] + modified
	}
	return b
}
