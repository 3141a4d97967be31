// Package wrongside returns the errors of interceptors that support one side and run on the
// other.
//
// hauberk.New cannot report such an interceptor, since a chain does not know its sides when it
// is created. The error is INTERNAL and not a rejection: the program is wrong, and no policy
// rejected the call.
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
