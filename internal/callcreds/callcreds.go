// Package callcreds combines the per-RPC credentials among the options of a call.
package callcreds

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// Lasting are credentials that stay in force if a later option of the call has others.
// Of other credentials grpc-go uses only those of the last option.
type Lasting interface {
	credentials.PerRPCCredentials
	// With returns credentials that have what these require, and others in place of the
	// credentials that these have combined so far.
	With(others credentials.PerRPCCredentials) credentials.PerRPCCredentials
}

// Effective returns the credentials of a call with the options, or nil.
func Effective(opts []grpc.CallOption) (creds credentials.PerRPCCredentials) {
	for _, o := range opts {
		o, ok := o.(grpc.PerRPCCredsCallOption)
		if !ok {
			continue
		}
		_, lasting := o.Creds.(Lasting)
		if earlier, ok := creds.(Lasting); ok && !lasting {
			creds = earlier.With(o.Creds)
		} else {
			creds = o.Creds
		}
	}
	return creds
}
