// Package field makes fields of requests inputs of decisions: keys of limits, labels, attributes of logs, and
// tenants.
//
//	storage := field.String("repository.storage_name", "storage_name")
//	hauberk.New(
//		logging.New(logging.Config{}, logging.State("storage", StorageKey)),
//		authn.New(…),
//		field.Set(StorageKey, storage),
//		ratelimit.New(ratelimit.Config{Limit: 100, Per: time.Second, By: callkey.State(StorageKey)}),
//	)
//
// # Paths
//
// A path has the names of fields as in the .proto file, with dots between them. It ends at a single field of
// the type of the function: [String], [Int], [Bool] or [Enum]. It does not lead through repeated fields and
// maps, through google.protobuf.Any, or through extensions. Of several paths the first one counts whose
// names are fields of the type of the request, whether it has a value or not.
//
// A field has no value if it is not set, if it is an empty string, or if it is 0 and has no presence
// (proto3 without optional). A bool without presence is "false". Defaults of proto2 do not count. The value
// is read as text: numbers in decimal, enums by the names of their values.
//
// [Marked] is a field without a path: the option (hauberk.v1.key) marks it in the .proto file, under a name, so that it
// may be at another path in each type of requests.
//
// # The check at start
//
// Each method that an interceptor with a field runs for needs one of the paths, or one field with the mark,
// unless the field is [Field.Optional], and each path needs a method. [hauberk.Server.Serve] and
// [hauberk.Chain.Coverage] report what is wrong, with the method, the path and the name of the field that is
// most like it. Methods of the package grpc, such as health, and those whose generated code is not linked, are
// left out. Clients do not know their methods at start: their programs call [Field.Check] in a test.
//
// # Two ways to use a field
//
//   - [Set] reads the field once, rejects calls without a value, and keeps it in the state of the call. Keys
//     ([callkey.State]), logs (logging.State), labels ([Label]), handlers and outgoing calls read it there.
//     Inner interceptors and handlers that change the request do not change the value, and further requests of a
//     stream do not either. With [Field.Fixed] a stream whose requests have several values ends.
//   - [Field.Key] reads the field where a limit needs it. A call without a value is counted by its peer, as
//     package callkey says. With [Field.PerMessage] each message of a stream has its own key.
//
// [Tenant] sets the tenant of the caller's identity, and holds all requests of a stream to it. Rules of authz read
// the whole request in CEL (authz.Rule.Request); package callexpr has identity.tenant.
//
// # When the request is read
//
// The decision is made by the first request, as the hooks of outer interceptors have made it (on a client's
// stream: as the application has passed it). In methods with client streaming it waits for that message, until
// the call ends. A client that sends nothing occupies the stream as long: bound the wait with package
// interceptors/deadline, outside. In [hauberk.Shadow] on a client such streams are not read, and have no value.
//
// On a server, decoding a request costs memory and CPU. Use fields inside of authentication, so that callers
// without an identity cannot make the server decode: [hauberk.Chain.Lint] reports other orders.
//
// Values appear in logs, snapshots and labels: do not use fields that hold secrets.
//
// Callers choose the values of fields. A caller that invents values has a quota for each of them: use
// [callkey.All] with [callkey.User], or check the value with authz first.
//
// Messages of other codecs than Protocol Buffers have no fields. A message of the first API of Go
// (gogo/protobuf) is read as far as protobuf reflection understands it.
package field
