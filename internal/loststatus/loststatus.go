// Package loststatus recognizes calls whose status grpc-go has lost, for tests that compare a chain with it.
//
// If a server ends an attempt while grpc-go sends it the requests of the call again, RecvMsg of grpc-go now and then
// returns io.EOF in place of the status, and the call ends with OK. TestShedStreamsKeepTheirStatus of the root package
// shows that a chain keeps the status.
package loststatus

import "google.golang.org/grpc/codes"

// Lost reports whether a call of grpc-go, whose last attempt ended with the code last, has lost that code: its requests
// are a stream, it made further attempts, and its outcome is OK.
func Lost(clientStreams bool, attempts int, last, outcome codes.Code) bool {
	return clientStreams && attempts > 1 && outcome == codes.OK && last != codes.OK
}
