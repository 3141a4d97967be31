// Package cli implements the hauberk command: its subcommands, error reports and exit
// codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/demo"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/policycmd"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/ratelimitservice"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/sidecar"
)

// The exit codes.
const (
	exitOK    = 0
	exitInput = 1 // the input is wrong, or the command failed
	exitUsage = 2 // the command line is wrong
)

// usageError reports a wrong command line.
type usageError struct{ error }

// Main runs the command and returns its exit code.
func Main(args []string, out, errOut io.Writer) int {
	running := false // the flags and arguments are valid
	root := newRoot()
	root.PersistentPreRun = func(*cobra.Command, []string) { running = true }
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteContextC(context.Background())
	if err == nil {
		return exitOK
	}
	printError(errOut, err)
	var usage usageError
	if running && !errors.As(err, &usage) {
		return exitInput
	}
	_, _ = fmt.Fprintf(errOut, "Run '%s --help' for usage.\n", cmd.CommandPath())
	return exitUsage
}

// printError writes each line of the error that is not blank.
func printError(w io.Writer, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			_, _ = fmt.Fprintf(w, "hauberk: %s\n", line)
		}
	}
}

func newRoot() *cobra.Command {
	version := thisBuild().version
	root := &cobra.Command{
		Use:           "hauberk",
		Short:         "Interceptors for gRPC, as a sidecar",
		Version:       version,
		SilenceErrors: true, // Main prints them
		SilenceUsage:  true,
	}
	root.SetVersionTemplate(versionLine())
	root.Flags().Bool("version", false, "print the version and exit")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(sidecar.Command(version), demo.Command(version), ratelimitservice.Command(), versionCommand())
	root.AddCommand(policycmd.Commands()...)
	completion(root)
	return root
}

// completion adds cobra's command completion, which is an error without the name of a shell.
func completion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	cmd, _, err := root.Find([]string{"completion"})
	if err != nil {
		return
	}
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		return usageError{fmt.Errorf("completion has %q; want one of bash, fish, powershell, zsh", args)}
	}
}
