package tracing

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
)

// w3c is the default propagator.
type w3c struct{}

// Inject writes traceparent, tracestate and baggage.
func (w3c) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	propagation.TraceContext{}.Inject(ctx, carrier)
	propagation.Baggage{}.Inject(ctx, carrier)
}

// Extract reads the headers that Inject writes. It accepts the valid members of baggage with invalid
// ones. OpenTelemetry's propagator would report the invalid ones to the global error handler, which
// would print untrusted text.
func (w3c) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	ctx = propagation.TraceContext{}.Extract(ctx, carrier)
	bag, _ := baggage.Parse(carrier.Get(headerBaggage))
	if bag.Len() == 0 {
		return ctx
	}
	return baggage.ContextWithBaggage(ctx, bag)
}

// Fields returns the names of the headers.
func (w3c) Fields() []string {
	return append(propagation.TraceContext{}.Fields(), headerBaggage)
}

// extract returns the context of a call on a server with the baggage and the span of its caller. If the
// call starts a new trace, it returns the caller's span separately. A span of this process, such as
// that of an HTTP server, takes precedence over the caller's.
func (t *Interceptor) extract(
	ctx context.Context, call *hauberk.Call, r *record,
) (_ context.Context, caller trace.SpanContext) {
	if local := trace.SpanContextFromContext(ctx); local.IsValid() && !local.IsRemote() {
		return ctx, caller
	}
	ctx = t.read(ctx, r)
	remote := trace.SpanContextFromContext(ctx)
	switch {
	case !remote.IsValid():
		return ctx, caller
	case t.startsTrace(call):
		return ctx, remote
	case remote.IsSampled() && !t.mayForce():
		remote = remote.WithTraceFlags(remote.TraceFlags().WithSampled(false))
		return trace.ContextWithRemoteSpanContext(ctx, remote), caller
	default:
		return ctx, caller
	}
}

// read returns the context with the span and the baggage that the propagator finds in the metadata.
// With NoBaggage it keeps the baggage that the context had before, for any headers of the
// propagator.
func (t *Interceptor) read(ctx context.Context, r *record) context.Context {
	r.incoming = incoming{ctx: ctx, config: &t.config}
	found := t.propagator.Extract(ctx, &r.incoming)
	r.incoming = incoming{}
	if t.config.NoBaggage && baggage.FromContext(found).Len() > 0 {
		return baggage.ContextWithBaggage(found, baggage.FromContext(ctx))
	}
	return found
}

// startsTrace reports whether a call starts a new trace.
func (t *Interceptor) startsTrace(call *hauberk.Call) bool {
	return t.config.PublicEndpoint || slices.Contains(t.config.NewTraceKinds, call.Kind()) ||
		t.newTrace != nil && t.newTrace(call)
}

// mayForce reports whether the bound permits another forced sample.
func (t *Interceptor) mayForce() bool {
	return t.limit == nil || t.forced.Allow(t.limit, t.elapsed(), 1).OK
}

// inject returns the context of a call on a client with the span and the baggage in its metadata. They
// replace those of the application and of outer spans.
func (t *Interceptor) inject(ctx context.Context, sc trace.SpanContext) context.Context {
	md, ok := metadata.FromOutgoingContext(ctx) // a copy
	if !ok {
		md = make(metadata.MD, 2)
	}
	if sc.IsValid() {
		for _, key := range t.fields {
			delete(md, key)
		}
	}
	t.propagator.Inject(ctx, outgoing(md))
	if len(md) == 0 {
		return ctx
	}
	return metadata.NewOutgoingContext(ctx, md)
}
