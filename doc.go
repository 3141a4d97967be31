// Package hauberk gives gRPC one interceptor model for every kind of call, on
// both ends.
//
// An [Interceptor] runs around one call:
//
//	func (l *Limiter) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
//		if err := l.allow(call); err != nil {
//			return err // rejected: nothing further in runs
//		}
//		return next(ctx, call) // returns once, when the call has ended
//	}
//
// The same body serves unary, client-streaming, server-streaming and
// bidirectional calls, on a server and on a client. A [Chain] puts
// interceptors in order, outermost first:
//
//	             ┌────────────────────────────────────────────┐
//	             │ request id                                 │
//	             │   ┌────────────────────────────────────┐   │
//	             │   │ logging                            │   │
//	             │   │   ┌────────────────────────────┐   │   │
//	   call ──▶  │   │   │ authn                      │   │   │
//	             │   │   │     handler, or the wire   │   │   │
//	outcome ◀──  │   │   │                            │   │   │
//	             │   │   └────────────────────────────┘   │   │
//	             │   └────────────────────────────────────┘   │
//	             └────────────────────────────────────────────┘
//
// A chain is carried by a grpc-go server ([Chain.NewServer], [Chain.Registrar],
// [Chain.ServerOptions]) or a client ([Chain.DialOptions], [Chain.ClientConn]).
// Interceptors written for grpc-go take part as interceptors ([FromServer],
// [FromClient]).
package hauberk
