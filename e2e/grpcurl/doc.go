// Package grpcurl is the module that pins the grpcurl command for the tests of e2e.
package grpcurl
