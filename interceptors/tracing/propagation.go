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

// Extract reads what Inject writes. Of baggage that is partly bad the good members
// are taken. OpenTelemetry's own propagator would report the bad ones to the global
// error handler, which prints what a stranger sent.
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

// extract returns the context of a call on a server with the baggage and the span
// that its caller named; or, if the call is to start a trace of its own, that span
// besides. A span of this process, as that of an HTTP server around, is the parent
// whatever the caller says.
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

// read returns the context with what the propagator finds in the metadata. With
// NoBaggage it has only the baggage that was there before, whatever headers of its
// own a propagator knows.
func (t *Interceptor) read(ctx context.Context, r *record) context.Context {
	r.incoming = incoming{ctx: ctx, config: &t.config}
	found := t.propagator.Extract(ctx, &r.incoming)
	r.incoming = incoming{}
	if t.config.NoBaggage && baggage.FromContext(found).Len() > 0 {
		return baggage.ContextWithBaggage(found, baggage.FromContext(ctx))
	}
	return found
}

// startsTrace reports whether a call starts a trace of its own.
func (t *Interceptor) startsTrace(call *hauberk.Call) bool {
	return t.config.PublicEndpoint || slices.Contains(t.config.NewTraceKinds, call.Kind()) ||
		t.newTrace != nil && t.newTrace(call)
}

// mayForce reports whether another caller may say that its trace is sampled.
func (t *Interceptor) mayForce() bool {
	return t.limit == nil || t.forced.Allow(t.limit, t.elapsed(), 1).OK
}

// inject returns the context of a call on a client with metadata that tells the
// server of the span and of the baggage, in place of what the application or a span
// further out has put there.
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
