// Package retry makes failed calls of a client again.
//
//	chain, err := hauberk.New(retry.New(retry.Config{MaxAttempts: 4}), attempts...)
//
// What stands inside the retry in a chain runs for each attempt, what stands
// outside once for the call: put tokens, breakers and metrics of attempts inside.
//
// A unary call is made again when its attempt failed with a code that is
// configured, UNAVAILABLE by default. A server stream is, as long as the
// application was given neither a message nor the header. Streams of requests
// are, up to that point too, if MaxReplayBytes lets them be kept; otherwise they
// pass. What an inner interceptor rejected is not attempted again.
//
// Waits between attempts grow exponentially with jitter, as in gRFC A6. The
// caller's deadline covers attempts and waits: no wait is begun that would last
// beyond it, and the last attempt's error is returned instead. A caller who
// cancels during a wait gets CANCELLED.
package retry
