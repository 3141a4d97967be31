package sidecar

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
)

// forwardTrace replaces the trace context in the metadata of a call, so that the
// upstream's span is a child of the sidecar's span. The gateway forwards the incoming
// metadata of the context that the innermost interceptor passes to next.
type forwardTrace struct{ propagator propagation.TextMapPropagator }

// Intercept replaces the propagator's headers.
func (f forwardTrace) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	md, ok := metadata.FromIncomingContext(ctx) // a copy
	if !ok {
		md = metadata.MD{}
	}
	f.inject(ctx, md)
	return next(metadata.NewIncomingContext(ctx, md), call)
}

// inject replaces the propagator's headers in md.
func (f forwardTrace) inject(ctx context.Context, md metadata.MD) {
	for _, field := range f.propagator.Fields() {
		md.Delete(field)
	}
	f.propagator.Inject(ctx, carrier(md))
}

// carrier adapts metadata to [propagation.TextMapCarrier].
type carrier metadata.MD

// Get returns the first value of a key, or "".
func (c carrier) Get(key string) string {
	if values := metadata.MD(c).Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Set replaces the values of a key by one value.
func (c carrier) Set(key, value string) { metadata.MD(c).Set(key, value) }

// Keys returns all keys.
func (c carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for key := range c {
		keys = append(keys, key)
	}
	return keys
}
