// Command hauberk runs a gRPC sidecar with interceptors, and a demo of the library.
package main

import (
	"os"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr))
}
