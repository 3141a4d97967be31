// Package deadline gives calls deadlines, on servers and clients: a default, a cap, a budget for
// outgoing calls, early rejection, and timeouts for streams on which nothing moves.
//
//	chain, err := hauberk.New(
//		deadline.New(deadline.Config{
//			Default: 5 * time.Second, Max: 30 * time.Second, Margin: 50 * time.Millisecond, IdleTimeout: time.Minute,
//			Rules: []deadline.Rule{
//				{Methods: []string{"shop.v1.Cart/Watch"}, Default: deadline.Off, Max: deadline.Off},
//			},
//		}),
//	)
//
// # Which settings
//
// The settings of a method come from several levels. For each setting the first level that has it
// counts:
//
//  1. the [Rule]s whose patterns match the method, the most specific pattern first: a method, a
//     service, a package with more names, one with fewer, "*". For grpc.health.v1.Health/Watch there is a
//     rule that turns Default, Max and IdleTimeout off, unless one of yours names this method: a client with
//     health checks takes a channel whose watch has ended out of READY, and its calls fail;
//  2. the deadline that the .proto file of the method states, as [Config].Max, with [WithPolicy];
//  3. the fields of [Config].
//
// [Off] turns a setting off, also if a lower level has it. Explain returns the settings of a method,
// and where each was set.
//
// # Deadlines
//
// A call ends at the earliest of the caller's deadline and Max from now, or without a deadline of
// the caller at Default from now, if that is earlier than Max.
//
// On a client the context of the inner interceptors has this deadline, and the server receives it
// as grpc-timeout. It counts for the whole call: put the interceptor outside of retries.
//
// On a server the context of the inner interceptors and the handler has it. A deadline that Default
// or Max has set works as one that the caller has set:
//
//   - the context of the handler is done with context.DeadlineExceeded;
//   - at the same time the caller gets DEADLINE_EXCEEDED, and Recv and Send of the handler's stream
//     return an error, whether or not the handler looks at its context;
//   - the handler runs on until it returns. The chain then ends with DEADLINE_EXCEEDED, and what
//     the handler has returned is dropped. A handler that ignores its context uses the server's resources that long.
//
// At the caller's own deadline, grpc-go's server does the same, but resets the stream. A client that
// receives the reset before its own timer fires reports CANCELLED. With [Config].EndEarly the server
// ends the call with DEADLINE_EXCEEDED a little earlier: by a tenth of the time that is left when the
// call arrives, at most 10 ms.
//
// # Budget
//
// With Margin the context ends that much before the call. On a server the outgoing calls that the
// handler makes with its context then fail while there is time to answer the caller. On a client the
// call ends while its caller has time for another answer. If Margin is more than half of the time
// that is left, it is half of that.
//
// # Early rejection
//
// A call whose caller leaves it at most MinTimeLeft is rejected with DEADLINE_EXCEEDED and
// [ReasonTooShort]: on a server before its request is read, on a client before anything is sent.
// With TypicalQuantile that is also done if less is left than the method usually needs: that quantile
// of the durations of calls that ended with OK, in the last complete [Config].TypicalWindow with at
// least 20 of them. It is not known before, and no longer if a window has fewer. So if all
// calls are rejected, those of a later window are admitted and measured again. 1024 methods are
// measured, at about 7 KiB each. Do not set it for streams that last as long as their clients like.
//
// The decision is recorded ([hauberk.Call.Decisions]). An interceptor with no other settings decides only,
// so that it can be in [hauberk.Shadow]: there it records what it would reject. Other settings act on calls;
// hauberk.New reports such an interceptor in Shadow.
//
// # Messages
//
// These timeouts work for all kinds of calls, unary ones too. Each ends the call with
// DEADLINE_EXCEEDED, for both ends, and releases what waits in an operation of the stream:
//
//   - ReceiveTimeout, [ReasonReceive]: this side has waited that long for the next message of the
//     other. On a server the handler is in Recv, or the request of a method with a single one is
//     being read; on a client the application waits for the stream or a unary call.
//   - SendTimeout, [ReasonSend]: a Send has waited that long for a peer that does not read. The one
//     response of a server's method without server streaming is sent after the chain, and has no such timeout.
//   - IdleTimeout, [ReasonIdle]: no whole message was received or sent, in either direction, whether or
//     not anything waits. Of a message in parts, such as one byte a second, none counts.
//
// On a client messages count when the application sends or receives them. What is sent before a
// peer stops reading fills buffers (in grpc-go 64 KiB of flow control) before Send waits. If a peer that does not
// read never reads again, the status that ends the call waits behind those buffers: the handler is
// released at once, but the call counts for MaxConcurrentStreams until its connection or the
// peer ends it.
//
// A timer looks at the call eight times in the shortest of its timeouts, at most every millisecond
// and at least every ten seconds. A timeout fires up to two of these intervals late, and never early. A message
// costs nothing but, with one of these timeouts, the note that a receive of a server begins and ends.
package deadline
