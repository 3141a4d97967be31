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
// retries off for one call. [With] changes other settings for one call.
//
// # Which failures
//
// A failed attempt is retried if its code is in [Config].RetryableStatusCodes,
// UNAVAILABLE by default, or if its per-attempt timeout has expired. It is the last one
// if any of these holds:
//
//   - The call has made [Config].MaxAttempts attempts.
//   - The budget allows no further one.
//   - grpc-go retries the method too: see [ErrTransportRetries].
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
// wait gets CANCELLED. The header, the trailer and the peer that the application receives are
// those of the last attempt.
//
// # Waits
//
// Waits grow exponentially with jitter: by default each is the backoff ± 20 %, as gRFC A6
// describes today. With [Config].FullJitter it is a random time from 0 up to the backoff, as in
// earlier versions of gRFC A6. A pushback in the trailer replaces the wait and
// restarts the growth. A google.rpc.RetryInfo in the status details makes the wait at
// least as long as its retry_delay. If that is longer than the backoff, the wait is longer by up to
// [Config].Jitter of it, or with FullJitter by up to the backoff: clients that failed at the same
// moment do not return at once. A server that asks for more than [Config].MaxServerDelay, 5 s by
// default, ends the call: a call without a deadline does not wait for a circuit breaker of the server
// to close.
//
// A per-attempt timeout above the caller's deadline has no effect.
//
// # Budget
//
// Retries multiply the load of a service that fails. So they have a budget, by default one for each
// interceptor with the defaults of package retrybudget: one retry for five calls, ten in reserve,
// and none while most calls fail. [WithBudget] shares a budget with the other interceptors of a
// client that repeat calls. [Config].NoBudget turns it off. A service that fails would use up
// what the calls to others need: use one interceptor, or one budget, for each service.
//
// # Layers
//
// If a service that retries is called by one that retries, and so on, the attempts of all layers
// multiply. Three layers with three attempts each send 27, and with the budget alone up to
// 1.2³ = 1.73 for each call. So the call of a handler that fails after it was retried, or that the
// budget or the server does not allow to be retried, asks the client of the handler not to retry that
// failure: the response of the handler gets the trailer grpc-retry-pushback-ms with -1. A client that
// follows gRFC A6, as this package does, then does not retry the failure again: only the layer next to
// the failure retries. The outgoing call must be made with the context of the handler.
//
// If a Hauberk chain serves the handler, its response has the trailer if the handler fails and either
// of these holds, and once:
//
//   - No message of the incoming call was sent or received since the failure.
//   - The handler fails with the failure: the code is the same, and the message contains that of the
//     failure. The last eight failures are remembered.
//
// So a stream whose handler tolerates a failure and goes on can be retried or resumed when it breaks
// later. On a server without a chain, the first failure that the handler sees adds the trailer, once
// for each interceptor, also if the handler succeeds later.
//
// [Config].NoCallerPushback turns that off.
//
// # Streams that break
//
// A response stream that breaks after the application has received a message is not retried: the
// application would receive messages twice. With [WithResume] it goes on from the last message.
//
// # Attempts
//
// [Attempt] has the number of the attempt for inner interceptors. The request metadata
// grpc-previous-rpc-attempts of each attempt after the first has the number of those before it, in
// place of a value that the application has set (gRFC A6). If hedge or another retry runs outside and has set
// a number, that of retry is added to it. A handler reads it with [PreviousAttempts].
//
// # Retries of grpc-go
//
// grpc-go retries calls by the retryPolicy of a service config. Attempts of both would multiply. If
// a call fails on such a connection, this interceptor does not retry it, and its error is
// [ErrTransportRetries] as well: see there. Transparent retries, which grpc-go makes if the server
// has not processed a call, stay: they do not count as attempts.
//
// The rules for commits, backoff and pushback are those of gRFC A6, Client Retries.
package retry
