// Package hedge sends further attempts of slow calls of a client, and takes the first answer.
//
//	chain, err := hauberk.New(hedge.New(hedge.Config{DelayQuantile: 0.95}), attempts...)
//
// A call begins with one attempt. If it has no outcome after a delay, a second attempt starts
// while the first one goes on, and so on up to [Config].MaxAttempts. The first response is
// that of the call, and the other attempts are cancelled. Hedging shortens the tail of the
// latency for a few more calls: with the 95th percentile as the delay, 5 % more.
//
// Interceptors inside hedge run once for each attempt, concurrently, those outside run once
// for the call. Put token sources, circuit breakers, limits and metrics of attempts inside.
// [Attempt] is the number of an attempt.
//
// # Which calls
//
// A method is hedged if concurrent executions do no harm:
//
//   - its proto has option idempotency_level = NO_SIDE_EFFECTS or IDEMPOTENT, and the
//     program links the generated code of its file, or the policy of [WithPolicy] says so;
//   - or it matches [Config].Methods;
//   - or [Config].AllMethods is set.
//
// Calls of other methods pass unchanged, and so do all calls of methods that stream their
// requests. [Disable] turns hedging off for one call.
//
// # When a hedge starts
//
// The next attempt starts [Config].Delay after the last one, or after the live quantile of the
// method's latency ([Config].DelayQuantile). An attempt that fails with a code of
// [Config].NonFatalStatusCodes, UNAVAILABLE by default, starts the next one at once. A
// good grpc-retry-pushback-ms in its trailer, or a google.rpc.RetryInfo in the details of its
// status, postpones the next attempt by that time instead. No further attempt starts if any of
// these holds:
//
//   - The call has made [Config].MaxAttempts attempts.
//   - The trailer of a failed attempt has the key grpc-retry-pushback-ms with a negative or
//     malformed value, or more than once, or the server asks for a longer wait than
//     [Config].MaxServerDelay.
//   - An inner interceptor rejected an attempt with a [hauberk.Rejection].
//   - The budget has no attempt left: see [WithBudget].
//   - The application has received a part of a response stream.
//   - The deadline of the caller has passed, or would pass before the attempt starts.
//
// The hedge of a stream starts only while the application waits for its response. If it does
// not, the hedge is due again after the delay, or after an eighth of the time of the call if that
// is longer.
//
// # How a call ends
//
// An attempt ends the call, and the others are cancelled, if it is the first that succeeds or
// that fails with another code than those of NonFatalStatusCodes. Otherwise the call ends with
// the attempt that ends last. Response, header, trailer, peer and the call options of the
// application are those of that attempt. Intercept returns once all attempts have ended: an
// inner interceptor that ignores its context delays the call.
//
// In a stream of responses the attempt wins that first receives a message, that first receives
// the header while the application waits for it, or that first ends with OK. The rest of the
// stream is that attempt's, also if it fails then. [hauberk.Call.Attempt] has the rules.
//
// The server of a cancelled attempt sees its context done. For inner interceptors such an
// attempt ends with CANCELLED, which a circuit breaker does not count, and returns its slot of a
// limit of concurrency. If an attempt panics, the others are cancelled, and Intercept panics
// with the same value once they have ended.
//
// # Layers
//
// If the call of a handler fails with a non-fatal code, after its attempts or since the budget or
// the server does not allow more, the response of the handler gets the trailer
// grpc-retry-pushback-ms with -1. So only the layer next to the failure repeats it. If a Hauberk
// chain serves the handler, only a failed outcome that may come from the failure has the trailer;
// without a chain the first failure adds it, also if the handler succeeds later: see the section Layers of
// package retry. That
// needs the context of the handler; [Config].NoCallerPushback turns it off.
//
// # Metadata
//
// Attempts after the first have the key grpc-previous-rpc-attempts in the request metadata, with
// the number of attempts that started before. If retry or another hedge runs outside and has set a
// number, that of hedge is added to it. A number that the application has set is replaced (gRFC A6).
//
// # Hedge and retry
//
// Use one of them for a method. In a chain that has both:
//
//   - retry outside: each attempt of retry is a call for hedge. A call makes at most
//     retry.Config.MaxAttempts × hedge.Config.MaxAttempts attempts. If codes are both
//     retryable and non-fatal, retry begins when the hedges are used up.
//   - hedge outside: each attempt of hedge retries by itself, and its waits are within the
//     attempt. A failure that retry repeats does not start a hedge, only the delay does.
//
// One budget for both ([WithBudget]) bounds all further attempts of a client. A call then counts
// in it once for each of the interceptors that runs for it.
//
// # Retries of grpc-go
//
// grpc-go retries calls by the retryPolicy of a service config. Attempts of both would multiply. So a
// call on such a connection is not hedged. If it fails when a further attempt was due, its error is
// [ErrTransportRetries] as well: see there. The service config is known once the name of the target is
// resolved: with [Config].NoDelay all attempts of an earlier call may have started by then.
//
// # Difference from gRFC A6
//
// The rules for delays, codes, pushback and metadata are those of gRFC A6, Client Retries. Two
// are different. The response header of an attempt commits the call only if the application waits for it:
// a server that sends a header and then fails with a non-fatal code does not end the call. And
// grpc-go has no hedging below, so that hedges of one call may reach the same server.
package hedge
