package cli

import "github.com/spf13/cobra"

// Root returns the command, to describe it. [Main] runs it.
func Root() *cobra.Command { return newRoot() }
