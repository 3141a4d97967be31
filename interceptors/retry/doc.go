// Package retry retries failed calls of a client.
//
//	chain, err := hauberk.New(retry.New(retry.Config{MaxAttempts: 4}), attempts...)
//
// Interceptors inside retry run once for each attempt, those outside run once for the
// call. Put token sources, circuit breakers and metrics of attempts inside.
//
// # Which calls
//
// A method is retried if a second execution does no harm:
//
//   - its proto has option idempotency_level = NO_SIDE_EFFECTS or IDEMPOTENT, and the
//     program links the generated code of its file, or the policy of [WithPolicy] says so;
//   - or it matches [Config].Methods;
//   - or [Config].AllMethods is set.
//
// Calls of other methods pass unchanged, without a per-attempt timeout. [Disable] turns
// retries off for one call.
//
// # Which failures
//
// A failed attempt is retried if its code is in [Config].RetryableStatusCodes,
// UNAVAILABLE by default, or if its per-attempt timeout has expired. It is the last one
// if any of these holds:
//
//   - The call has made [Config].MaxAttempts attempts.
//   - A response header or message has arrived: the attempt is committed, unless
//     [Config].RetryAfterHeader is set. A Trailers-Only response has no header.
//   - An inner interceptor rejected the attempt with a [hauberk.Rejection].
//   - The trailer has the key grpc-retry-pushback-ms with a negative or malformed value,
//     or more than once.
//   - The wait before the next attempt would pass the caller's deadline, or the server
//     asks for a longer wait than [Config].MaxServerDelay.
//   - The method streams its requests, and they are not kept for a new attempt: see
//     [Config].MaxReplayBytes.
//
// The call then ends with the error of its last attempt. A caller that cancels during a
// wait gets CANCELLED.
//
// # Waits
//
// Waits grow exponentially with jitter. A pushback in the trailer replaces the wait and
// restarts the growth. A google.rpc.RetryInfo in the status details makes the wait at
// least as long as its retry_delay.
//
// The rules for commits, backoff and pushback are those of gRFC A6, Client Retries.
package retry
