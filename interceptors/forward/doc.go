// Package forward copies metadata and state of an incoming call to the outgoing calls that
// its handler makes.
//
// A handler calls other services with its own context. An outgoing call inherits neither the
// metadata nor the state of the incoming call, so that nothing travels further by accident.
// This interceptor, in the chain of the client, selects what is copied:
//
//	chain, err := hauberk.New(
//		forward.New(forward.Config{Metadata: []string{"x-tenant", "x-debug"}}, forward.State(authn.User)),
//		retry.New(retry.Config{}),
//	)
//	conn, err := grpc.NewClient(target, chain.DialOptions(creds)...)
//
// The metadata is that of the handler's context: what the interceptors of the server's chain
// removed is not copied, and what they set is. A call that is made outside of a handler, or
// with a context that does not come from one, is not changed. Metadata that the handler sets
// itself for the outgoing call is kept.
//
// Name credentials such as "authorization" only for services that may act as the caller:
// they receive the caller's token.
//
// # Place
//
// Outside of retry, so that the metadata is copied once a call, and outside of interceptors
// that read the state, such as a limit by user. Such an interceptor finds no state in a call
// that is made outside of a handler, or whose incoming call has none: a limit by user counts all
// these calls together.
package forward
