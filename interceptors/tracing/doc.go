// Package tracing makes OpenTelemetry spans of calls and propagates traces and baggage.
//
// Spans follow the semantic conventions for RPC, version 1.43.0.
//
// # Spans
//
// A span has the name "shop.v1.Cart/Get" and the kind SERVER or CLIENT. It begins when the call
// reaches the interceptor and ends when the call has ended, however it ends. It has these
// attributes, if they apply:
//
//	rpc.system.name           "grpc"
//	rpc.method                "shop.v1.Cart/Get", or "_OTHER"
//	rpc.method_original       the name of the method, if rpc.method is "_OTHER"
//	rpc.response.status_code  "OK", "NOT_FOUND", …
//	error.type                the same, if the code is an error on this side
//	server.address            on a client the target of the connection,
//	server.port               on a server the local address of the connection
//	network.peer.address      the remote address of the connection; on a client with
//	network.peer.port         Config.ClientPeer only
//	client.address            the address of the caller behind hauberk.Config.TrustedProxies
//	hauberk.attempt           the number of an attempt, from 1
//	hauberk.rejection.reason  the reason of a rejection, in UPPER_SNAKE_CASE
//
// On a client all codes except OK are errors and set the span's status to Error. On a server
// these are errors: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
//
// The description of a status is the message of the gRPC status, in at most 1024 bytes. For an
// error without a gRPC status it is "unknown error", or the text of the context error that the
// error is or wraps. This holds with [hauberk.Config.ExposeErrors] too, which sends the error's own
// text to the client. Causes, panic values, messages, metadata and identities are not recorded.
//
// If the server does not have the method, rpc.method is "_OTHER" and the span's name is "grpc",
// so that callers cannot create span names.
//
// Each decision of an inner interceptor is an event, enforced or in shadow: see [EventDecision].
//
// # Propagation
//
// A server puts the trace (traceparent, tracestate) and the baggage of its caller into the
// context of the handler. A client sends those of its context. The format is that of the W3C
// recommendations Trace Context and Baggage. [WithPropagator] selects another one.
//
//   - On a client the headers traceparent and tracestate of the application are replaced.
//   - On a server a traceparent that is malformed or occurs more than once is ignored, and so
//     is a malformed tracestate. The well-formed members of baggage are accepted.
//   - Headers that are too long are shortened or dropped: see [Config].
//
// # Untrusted callers
//
// A caller chooses its trace ID, whether the trace is sampled, and its baggage. A server with
// untrusted callers should not accept them: set [Config.PublicEndpoint] and [Config.NoBaggage].
// With PublicEndpoint it starts new traces with a link to the caller's span, and its own sampler
// decides; the baggage is still accepted. NoBaggage drops the baggage. If callers are known,
// [Config.MaxForcedSamples] bounds the number of calls that are sampled because their callers
// sample them.
//
// # Attempts
//
// Outside retries the interceptor makes one span of the kind CLIENT for a call with all its
// attempts, as the semantic conventions require. [Interceptor.Attempts] inside retries makes a
// child span for each attempt, as in gRFC A72. Its kind is CLIENT too, and it is the parent of
// the server's span.
//
//	spans := tracing.New(tracing.Config{})
//	hauberk.New(spans, retry.New(retry.Config{}), spans.Attempts(), breaker.New(breaker.Config{}))
//
// The span of an attempt that an inner interceptor rejects contains that decision. If there is
// an interceptor inside retries only, the spans of attempts are siblings.
//
// # Streams
//
// The span of a stream lasts as long as the stream. With [Config.NewTraceKinds] streams on a
// server start new traces with a link to the caller's span, so that the caller's trace can be
// inspected before they end. hauberk.For and hauberk.Except select methods.
//
// # Exporters
//
// The tracer provider's processors receive spans when they end. With the SDK's batching
// processor a slow or unavailable collector does not delay calls: spans that do not fit into its
// queue are dropped.
package tracing
