// Package coalesce makes one call for equal unary calls that are in flight at the same time, on servers
// and clients: all of them receive its answer.
//
//	chain, err := hauberk.New(
//		authn.New(authn.Config{}, authn.Bearer(validate)),
//		cache.New(cache.Config{TTL: time.Minute}),
//		coalesce.New(coalesce.Config{}),
//	)
//
// It coalesces calls of the methods whose .proto file has idempotency_level = NO_SIDE_EFFECTS (or the
// same in Hauberk's policy option) and those of [Config.Methods]. Streams, and messages other than
// protobuf, pass unchanged. On a server place it inside authentication, authorization and limits by
// identity; inside package cache, so that many calls that miss an answer make one call; on a client
// outside of retries.
//
// # Equal calls
//
// Calls are equal if package cache would answer them with one answer: the same method, request,
// [Config.Metadata], ":authority" or target, and identity. The rules for identities and for
// [Config.AcrossIdentities] and [WithKey] are those of package cache. On a client they also have the same
// grpc.WaitForReady, grpc.MaxCallRecvMsgSize and grpc.MaxCallSendMsgSize; other options of the first caller
// hold for all. Calls with no-cache or no-store
// in cache-control pass unchanged.
//
// # Flights
//
// The call that is made is a flight. It runs on a separate goroutine, on a detached copy of the call that
// began it ([hauberk.Call.Detach]), with the values of that call's context: inner interceptors and the
// handler see its metadata and state. Metadata that differs between callers and matters to the answer
// belongs into Config.Metadata.
//
//   - Each caller waits until its own deadline or cancellation, and then ends with DEADLINE_EXCEEDED
//     or CANCELLED. That of the first caller does not end the flight.
//   - The flight is cancelled when its last caller has left. A later call begins another one.
//   - The deadline of its context is the latest deadline of its callers so far, or none if one has
//     none. What reads it early, such as grpc-timeout on a client, has that of the first callers. If a
//     flight ends with DEADLINE_EXCEEDED or CANCELLED, a caller with a later deadline than that of the
//     first begins or joins another flight.
//   - Each caller receives the outcome: the answer, header, trailer and decisions
//     ([hauberk.Call.Adopt]). Applications of clients receive clones. Errors are shared too, among
//     them rejections by inner interceptors.
//   - State that inner interceptors set stays with the flight.
//   - If a flight panics and no interceptor recovers it, all of its callers panic with the same value.
//     If its goroutine ends (runtime.Goexit), they end with INTERNAL.
//
// A flight whose server interceptors authenticate inside of it is not shared: its other callers make
// their own calls. Place coalesce inside authentication.
//
// Decisions ([hauberk.Call.Decisions]) have the rule "joined" for calls that joined a flight.
package coalesce
