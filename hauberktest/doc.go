// Package hauberktest tests interceptors: over every kind of call and both sides,
// on real grpc-go servers and clients in memory, with a scripted backend, a clock
// that the test moves, and a check that no goroutine is left behind.
//
//	func TestLimiter(t *testing.T) {
//		hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
//			env := c.Start(t, limiter.New(limiter.Config{Limit: 1}))
//			if out := env.Call(t.Context()); out.Err != nil {
//				t.Fatal(out.Err)
//			}
//		})
//	}
//
// What an interceptor costs is measured without a network, with [Direct].
package hauberktest
