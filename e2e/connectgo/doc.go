// Package connectgo tests servers with clients of connect-go (connectrpc.com/connect), which share no code with those
// of grpc-go.
package connectgo
