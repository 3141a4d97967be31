// Package hauberktest provides a test kit for interceptors and handlers.
//
// # Tests of interceptors
//
// [Matrix] runs a test once for each of the four kinds of calls on each of the two sides. Each
// [Case] starts a real grpc-go server and client, connected in memory, with the interceptors on
// the side of the case. It checks that no goroutine is left.
//
//	func TestLimiter(t *testing.T) {
//		hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
//			env := c.Start(t, limiter.New(limiter.Config{Limit: 1}))
//			if out := env.Call(t.Context()); out.Err != nil {
//				t.Fatal(out.Err)
//			}
//			if out := env.Call(t.Context()); status.Code(out.Err) != codes.ResourceExhausted {
//				t.Errorf("second call: %v, want RESOURCE_EXHAUSTED", out.Err)
//			}
//		})
//	}
//
// The server is a test service with one method of each kind. It echoes requests, or runs the
// handler of a [Backend]. [Start] starts a server and a client with separate chains and with
// options of grpc-go. [Clock] is a clock that only the test advances.
//
// # Tests of handlers
//
// [Context] returns a context as a handler receives it behind a chain, with state, metadata,
// method and peer. The test calls the handler as an ordinary function. [TransportStream] records
// the header and the trailer that the handler sets. [ServerStream] is a stream for streaming
// handlers. [Unmapped] fails the test if a handler returns an error without a status.
//
// # Tests of a service's chain
//
// [Covered] checks that every method of a server is authenticated or public, and [Ordered] that
// the order of a chain is the usual one.
//
// # Benchmarks
//
// [Direct] makes calls without a network, to measure the time and the allocations of an
// interceptor.
package hauberktest
