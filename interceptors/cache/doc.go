// Package cache answers unary calls of methods without side effects from memory, on servers and clients.
//
//	chain, err := hauberk.New(
//		authn.New(authn.Config{}, authn.Bearer(validate)),
//		cache.New(cache.Config{TTL: time.Minute, StaleWhileRevalidate: 10 * time.Second}),
//	)
//
// It caches the methods whose .proto file has idempotency_level = NO_SIDE_EFFECTS (or the same in
// Hauberk's policy option) and those of [Config.Methods]. Streams, and messages other than protobuf,
// pass unchanged. On a server place the cache inside authentication, authorization and limits by
// identity: it answers callers that these have admitted. On a client place it outside of retries.
//
// # Keys
//
// Calls share an answer if they have the same method, deterministic encoding of the request,
// values of [Config.Metadata], ":authority", on a client target, and identity. Keys are SHA-256 sums.
// With [WithKey] a function adds to the key, or excludes calls. If it panics, the call ends with
// INTERNAL and the reason KEY_FUNCTION_PANICKED.
//
// The identity is
//
//   - on a server the issuer, subject, tenant, scopes and roles of [hauberk.IdentityKey]; for a method
//     in [hauberk.Config.Public] without one the credentials that the call sends. Calls without an
//     identity of other methods are not cached: a cache that runs outside of authentication would
//     answer for it.
//   - on a client the credentials that the call sends, and the identity of the incoming call whose
//     handler makes the call, or the credentials of that without an identity. Calls with per-RPC
//     credentials among their options are not cached, since these are not known before the call is
//     made. grpc.WithPerRPCCredentials on the connection is not visible with
//     [hauberk.Chain.DialOptions]: if such credentials depend on the context of the call, use Except.
//
// The credentials are the values of authorization, cookie, key, jwt and assertion, of metadata that ends in
// "-" and one of these, such as x-api-key, and of metadata that ends in token, apikey, password or secret. A
// key of that kind that differs in each call, such as x-csrf-token, makes each call a separate one.
//
// [Config.AcrossIdentities] leaves the identity out of the key, for answers that are the same for all.
// Callers that are known by other metadata, or claims, need Config.Metadata or WithKey.
//
// An Interceptor that several chains have shares its answers between them. Use one for each backend
// if connections are not grpc-go's, since these have no target.
//
// # Cache-control
//
// The metadata key cache-control has directives of RFC 9111 and RFC 5861. Unknown ones are ignored.
//
//	in a request      effect
//	no-cache          the call is made; its answer is kept
//	no-store          the call is made; its answer is not kept
//	max-age=N         no answer older than N seconds, and no stale one
//	only-if-cached    UNAVAILABLE with the reason NOT_CACHED instead of a call
//
//	in a response     effect (header and trailer)
//	no-store          the answer is not kept
//	no-cache          the answer is not kept, since there is no revalidation
//	private           the answer is not kept with AcrossIdentities, and in methods without identity
//	max-age=N         the answer is fresh for N seconds instead of Config.TTL, at most Config.MaxTTL
//	must-revalidate   the answer is never used stale
//
// A number that is not valid counts as 0. A caller that may not bypass the cache of a server needs
// [Config.IgnoreRequests].
//
// # Answers
//
// Only answers with OK are kept. A call that is answered from memory has the header and the trailer of
// the first answer as they were, and in the header age (RFC 9111, section 5.1) in seconds. Messages
// are clones: neither the application that received the first answer nor a handler shares memory with
// the cache. Outer interceptors and their hooks see a cached answer like any other; inner ones do not
// run. [hauberk.Call.Decisions] has the rule "hit" or "stale" for it.
//
// For [Config.StaleWhileRevalidate] after it was fresh, an answer is used and refreshed by one call on
// another goroutine, of at most [Config.RefreshTimeout]. At most [Config.MaxRefreshes] run at a time;
// above that stale answers are used without one. A refresh has the values of the context of the call that
// began it. If it fails with UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED, RESOURCE_EXHAUSTED or ABORTED, the
// stale answer stays; another error removes it. [Interceptor.Close] cancels the refreshes and waits for
// them. A panic of a refresh is logged and counts as a failure.
//
// On a server the handler of a call that is not answered from memory runs on a detached copy of
// the call ([hauberk.Call.Detach]): its header is sent with the response, and grpc.SetSendCompressor
// fails.
//
// # Memory
//
// At most [Config.MaxEntries] answers and [Config.MaxBytes] are kept, and the least recently used ones are
// evicted. An answer larger than an eighth of MaxBytes is not kept. Stale answers are removed
// when they are found, or evicted. [Interceptor.Invalidate] and [Interceptor.Purge] remove answers, and
// calls that run meanwhile do not bring the removed ones back.
package cache
