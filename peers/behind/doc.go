// Package behind puts the servers and clients of another project's tests behind a
// Hauberk chain. Package rewrite makes the tests call it: in place of grpc-go's
// constructors, and around the registrars and connections that they pass on.
//
// The environment of the test process selects what the functions do. Without it
// they behave as bare grpc-go.
//
//   - HAUBERK_PEERS_CHAIN names the chain (see Chains). Empty is none.
//   - HAUBERK_PEERS_ADDRESS names a file to which Listen and Front write the
//     address that clients connect to.
//   - HAUBERK_PEERS_USED names a file that is made when a chain, or a gateway, is:
//     a run that never gets there compares bare grpc-go with itself.
package behind
