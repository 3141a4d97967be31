// Package backoff computes the delay before the next attempt. Delays grow exponentially up
// to a maximum. Jitter spreads the attempts of callers that failed at the same time.
//
// # Method
//
// After n attempts the delay is min(Initial·Multiplier^(n-1), Max), multiplied by a random
// factor. gRFC A6, Client Retries, as amended in 2024 (grpc/proposal#452), uses Jitter 0.2:
// a factor from 0.8 to 1.2, so that a delay may exceed Max. Full jitter uses a factor from
// 0 to 1 (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015): it
// spreads attempts better, and may not wait at all.
//
// A delay is never negative. It is at most Max·(1+Jitter), or Max with full jitter, for
// every number of attempts and every source of randomness.
//
// # Concurrency
//
// A [Backoff] is immutable. It is safe for concurrent use if its source of randomness is;
// the default one is.
package backoff
