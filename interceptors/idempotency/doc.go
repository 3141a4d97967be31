// Package idempotency executes each effect once: clients send a key with a call, and keep it when they
// attempt the call again; servers answer repeats of a key with the first result.
//
//	client, err := hauberk.New(idempotency.New(idempotency.Config{}), retry.New(retry.Config{}))
//
//	server, err := hauberk.New(
//		authn.New(authn.Config{}, authn.Bearer(validate)),
//		idempotency.New(idempotency.Config{}, idempotency.WithStore(store)),
//	)
//
// It covers unary methods: those of [Config.Methods], or without that all that are not idempotent
// ([hauberk.Method.Idempotent]). Streams pass unchanged, since their effects cannot be repeated from a
// stored result.
//
// # Clients
//
// A call gets a random key of 128 bits in the request metadata "idempotency-key", as the IETF draft
// "The Idempotency-Key HTTP Header Field" names it. It is made once for a call: place the interceptor
// outside of retries and hedges, so that all attempts have it. A key that the application has put into the
// metadata stays. An application that repeats a call itself, also after a restart, needs its own key.
//
// # Servers
//
// The first call with a key owns it, for a lease that is renewed while the call runs. Its handler runs on
// a detached copy of the call ([hauberk.Call.Detach]), whose context does not end with the call: a client
// that gives up, or is cut off, does not interrupt the effect. It ends after [Config.MaxRun], or if the
// lease is lost. The outcome is then kept for [Config.TTL].
//
//   - A call whose key has an outcome receives it: message, header, trailer and status. No inner
//     interceptor runs.
//   - A call whose key runs waits for the outcome within its deadline, or with [Config.RejectRunning] ends
//     with ABORTED and RetryInfo.
//   - A call with the key of another request ends with INVALID_ARGUMENT. Requests are compared by the
//     SHA-256 of their deterministic encoding.
//
// Keys are separate for each method and caller: the issuer, subject and tenant of [hauberk.IdentityKey],
// or, without an identity, the values of authorization, cookie and x-api-key. Place the interceptor inside
// authentication. If an inner interceptor authenticates, the outcome is not answered to repeats.
//
// # Which outcomes are kept
//
// OK, and errors, apart from those by which a handler says that the client may try again: CANCELLED,
// UNAVAILABLE, RESOURCE_EXHAUSTED and ABORTED ([Config.NotKept]). After these, and if no handler was called
// because an inner interceptor has rejected the call, the key is free: the next call with it executes. A
// handler must return none of these codes after its effect. A panic of the handler is kept as INTERNAL.
//
// If the handler has succeeded and an inner interceptor returns an error, such as for an invalid response,
// repeats get that error and do not execute. If its code is one of NotKept, they end with
// FAILED_PRECONDITION.
//
// An outcome above [Config.MaxResultBytes], or whose message type is not known to the process that
// repeats it, is kept without its content: repeats end with FAILED_PRECONDITION.
//
// # What can go wrong
//
// A lease is renewed when a third of it has passed. If the store fails then, it is asked again every second, or every
// twentieth of the lease if that is shorter: a store that is back in time costs no call its lease.
//
// If a server dies, its leases expire after [Config.Lease], and the next call with such a key executes:
// if the server died between the effect and the end of the call, the effect happens again. No server
// can rule that out unless the effect and the key are written in one transaction.
//
// A [Memory] that is full has no room for new keys until old ones expire: their calls end with UNAVAILABLE, or execute
// without protection with FailOpen. It must hold the calls of [Config.TTL]: compare the measurements
// idempotency_memory_keys and idempotency_memory_bytes with [MemoryConfig].
//
// If the store does not answer within [Config.StoreTimeout], or within the lease if that is shorter, a call
// gives back the key that it may have, which may take as long again, and ends with UNAVAILABLE. With
// [Config.FailOpen] it executes without protection instead, unless it has waited for the first call with its key. The
// key is given back once more after the store has answered, since the store may do what it was asked in another order.
// A panic of the store is a failure of it.
//
// If the store does not take an outcome in three tries, such as while its server is started again, the call gets the
// outcome, and the store is given it again until [Config.Lease] has passed: repeats wait meanwhile. At most 1000
// outcomes, and 1000 keys that are to be given back, wait so at a time. Further calls end once the store has their
// outcome, or Lease has passed; with FailOpen they end at once, and their outcome is lost. If the store has not taken
// an outcome by then, or the process ends, the key is free once the lease expires; the former is logged and counted.
//
// Of an outcome above 64 KiB that the store does not take within StoreTimeout, or in two tries, and of any
// for which a store that is full ([ErrFull]) has no room, only that the call was executed is kept: repeats end with
// FAILED_PRECONDITION. If there is no room for that either, the lease becomes as long as [Config.TTL].
//
// # Rejections
//
//	reason                     code                  when
//	IDEMPOTENCY_KEY_MISSING    INVALID_ARGUMENT      there is no key, with Config.Required
//	IDEMPOTENCY_KEY_INVALID    INVALID_ARGUMENT      it is empty, too long, not printable, or there are several
//	IDEMPOTENCY_KEY_REUSED     INVALID_ARGUMENT      the key belongs to another request
//	IDEMPOTENCY_RUNNING        ABORTED               the first call runs, with Config.RejectRunning
//	IDEMPOTENCY_RESULT_LOST    FAILED_PRECONDITION   the call was executed, and its result is not kept
//	IDEMPOTENCY_UNAVAILABLE    UNAVAILABLE           the store fails or is full
//	IDEMPOTENCY_UNSUPPORTED    INTERNAL              the request is not a protobuf message
package idempotency
