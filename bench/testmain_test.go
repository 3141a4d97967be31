package main

import (
	"fmt"
	"os"
	"testing"
)

// TestMain runs the test binary as one of the processes under load if a test has started
// it as such.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "-role" {
		if err := serveRole(os.Args[2], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}
