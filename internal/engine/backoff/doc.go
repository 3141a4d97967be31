// Package backoff says how long to wait before trying again: exponentially longer
// after each attempt, up to a greatest delay, with jitter so that callers who
// failed together do not come back together.
//
// # Method
//
// After n attempts the delay is min(Initial·Multiplier^(n-1), Max), times a random
// factor. gRFC A6, Client Retries, as amended in 2024 (grpc/proposal#452), has
// Jitter 0.2: a factor from 0.8 to 1.2, so that a delay may exceed Max. Full jitter
// has a factor from 0 to 1 (M. Brooker, "Exponential Backoff And Jitter", AWS
// Architecture Blog, 2015): it spreads better, and may not wait at all.
//
// A delay is never negative, and never more than Max·(1+Jitter), or than Max with
// full jitter, whatever the number of attempts and the source of randomness.
//
// # Concurrency
//
// A [Backoff] is immutable, and safe for concurrent use if its source of
// randomness is; the default one is.
package backoff
