package sidecar

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
)

// forwardTrace puts the trace context of a call into its metadata, in place of what
// came with it, so that the upstream's span is a child of the sidecar's: a gateway
// forwards the incoming metadata that the innermost interceptor leaves behind.
type forwardTrace struct{ propagator propagation.TextMapPropagator }

// Intercept replaces the propagator's headers.
func (f forwardTrace) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	md, ok := metadata.FromIncomingContext(ctx) // a copy
	if !ok {
		md = metadata.MD{}
	}
	for _, field := range f.propagator.Fields() {
		md.Delete(field)
	}
	f.propagator.Inject(ctx, carrier(md))
	return next(metadata.NewIncomingContext(ctx, md), call)
}

// carrier is metadata as propagators write it.
type carrier metadata.MD

// Get returns the first value of a key, or "".
func (c carrier) Get(key string) string {
	if values := metadata.MD(c).Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Set sets the only value of a key.
func (c carrier) Set(key, value string) { metadata.MD(c).Set(key, value) }

// Keys returns the keys that are set.
func (c carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for key := range c {
		keys = append(keys, key)
	}
	return keys
}
