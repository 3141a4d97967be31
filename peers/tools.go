//go:build tools

package main

// The modules whose tests are run: go.mod pins their versions.
import (
	_ "connectrpc.com/conformance/cmd/connectconformance"
	_ "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
)
