// Package tracing makes OpenTelemetry spans of calls, by the semantic conventions
// for RPC of version 1.43.0, and carries traces and baggage from callers to servers.
//
// A span is named "shop.v1.Cart/Get", is of the kind SERVER or CLIENT, lasts from
// where the interceptor stands until the call has ended, whatever way it did, and
// has these attributes where they apply:
//
//	rpc.system.name           "grpc"
//	rpc.method                "shop.v1.Cart/Get", or "_OTHER"
//	rpc.method_original       the name, where rpc.method is "_OTHER"
//	rpc.response.status_code  "OK", "NOT_FOUND", …
//	error.type                the same, if the code is an error of the side
//	server.address            on a client what the connection was made for, on a
//	server.port               server the address that the call came in at
//	network.peer.address      the other end of the connection; on a client with
//	network.peer.port         Config.ClientPeer
//	client.address            where a call comes from behind hauberk.Config.TrustedProxies
//	hauberk.attempt           the number of an attempt, from 1
//	hauberk.rejection.reason    that of a rejection, in UPPER_SNAKE_CASE
//
// On a client every code but OK is an error and makes the span's status Error; on
// a server UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE and
// DATA_LOSS are. The description is never more than the message of a status, in at
// most 1024 bytes: of an error without one it is "unknown error", or the text of the
// context error that it is or wraps, and so it is where [hauberk.Config.ExposeErrors] has the
// client told the error's own text. Of the causes of a status and of a panic nothing
// is recorded, nor of messages, metadata and identities. A method that the server does
// not have is "_OTHER", and its spans are called "grpc", so that strangers make no
// names.
//
// Each verdict of a deciding inner interceptor is an event, enforced or in shadow: see
// [EventDecision].
//
// # Propagation
//
// A server takes over the caller's trace (traceparent, tracestate) and baggage as
// the W3C's Trace Context and Baggage have them, into the context of the handler; a
// client sends those of its context. Whatever the application put under traceparent
// and tracestate itself makes place. A traceparent that is malformed, or there more than
// once, is not taken over, and neither is a tracestate that is malformed; of baggage the
// members are that are not. What is too long is cut or dropped as [Config] says. Another
// form is a matter of [WithPropagator].
//
// # Callers that are strangers
//
// A caller names its trace, says whether it is sampled and sends baggage. A server
// that anyone can reach should not believe that: [Config.PublicEndpoint] starts
// traces of its own with a link to the caller's, so that the sampler's ratio holds
// whatever callers say. Where callers are known but many, [Config.MaxForcedSamples]
// bounds how many of them are sampled because they ask for it.
//
// # Attempts
//
// Outside of retries the interceptor makes one span of a call with all its attempts,
// as the semantic conventions ask; it is of the kind CLIENT. [Interceptor.Attempts] inside
// makes a span of each attempt, a child of it, as in gRFC A72, of the kind CLIENT
// too since it is what goes on the wire: the server's span is the attempt's child.
//
//	spans := tracing.New(tracing.Config{})
//	hauberk.New(spans, retry.New(retry.Config{}), spans.Attempts(), breaker.New(breaker.Config{}))
//
// An attempt that an inner interceptor rejects is a span with that decision. With the
// interceptor inside the retries alone the attempts are beside each other.
//
// # Streams
//
// The span of a stream lasts as long as the stream. [Config.NewTraceKinds] lets
// streams on a server start traces of their own, with a link to the caller's, which
// can then be looked at before they end; hauberk.For and hauberk.Except choose
// methods.
//
// # Exporters
//
// Spans go to the tracer provider's processors when they end. With the sdk's
// batching processor a collector that is slow or down costs a call nothing: what
// finds no room in the queue is dropped.
package tracing
