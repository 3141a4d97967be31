// Package wrongside is how interceptors for one side answer calls of the other.
//
// A chain does not know its sides when it is made, so that hauberk.New cannot report
// such an interceptor. The answer is INTERNAL, and it is not a rejection: the program is
// wrong, and no policy rejected the call.
package wrongside

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ForClients returns the outcome of a call on a server if what, such as "retry.New", is
// for clients.
func ForClients(what string) error {
	return status.Errorf(codes.Internal, "hauberk: %s is for clients, and this is the chain of a server", what)
}

// ForServers returns the outcome of a call on a client if what is for servers.
func ForServers(what string) error {
	return status.Errorf(codes.Internal, "hauberk: %s is for servers, and this is the chain of a client", what)
}
