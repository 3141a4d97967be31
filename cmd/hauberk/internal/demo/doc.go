// Package demo is the command `hauberk demo`: a small shop served by grpc-go on a
// real TCP listener, a client that calls all it has, with calls that fail, and
// chains on both ends.
package demo
