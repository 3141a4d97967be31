// Package cli is the hauberk command: its subcommands, how it reports errors, and
// its exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/demo"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/sidecar"
)

// The exit codes.
const (
	exitOK    = 0
	exitInput = 1 // the input is wrong, or what it asks for cannot be done
	exitUsage = 2 // the command was used wrongly
)

// usageError is a command that was used wrongly.
type usageError struct{ error }

// Main runs the command and returns its exit code.
func Main(args []string, out, errOut io.Writer) int {
	running := false // flags and arguments have been understood
	root := newRoot()
	root.PersistentPreRun = func(*cobra.Command, []string) { running = true }
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteContextC(context.Background())
	if err == nil {
		return exitOK
	}
	tell(errOut, err)
	var usage usageError
	if running && !errors.As(err, &usage) {
		return exitInput
	}
	_, _ = fmt.Fprintf(errOut, "Run '%s --help' for usage.\n", cmd.CommandPath())
	return exitUsage
}

// tell writes the lines of an error, without those that only set others apart.
func tell(w io.Writer, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			_, _ = fmt.Fprintf(w, "hauberk: %s\n", line)
		}
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "hauberk",
		Short:         "Interceptors for gRPC, as a sidecar",
		SilenceErrors: true, // Main reports them
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(sidecar.Command(version()), demo.Command(version()), versionCommand())
	return root
}
