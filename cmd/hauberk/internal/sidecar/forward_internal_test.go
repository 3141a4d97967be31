package sidecar

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
)

var span = trace.NewSpanContext(trace.SpanContextConfig{
	TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled,
})

const ours = "00-01000000000000000000000000000000-0200000000000000-01"

// The propagator's headers are those of the span alone. All other metadata is kept, and
// the metadata of the incoming context is not modified.
func TestForwardTrace(t *testing.T) {
	traced := trace.ContextWithSpanContext(t.Context(), span)
	tests := []struct {
		name       string
		ctx        context.Context
		came, want metadata.MD
	}{
		{"no trace", traced, metadata.MD{"a": {"b"}}, metadata.MD{"a": {"b"}, "traceparent": {ours}}},
		{"a trace", traced, metadata.MD{"traceparent": {"theirs"}}, metadata.MD{"traceparent": {ours}}},
		{
			"several traces", traced,
			metadata.MD{"traceparent": {"x", "y"}, "tracestate": {"x=1", "y=1"}, "baggage": {"a=b"}},
			metadata.MD{"traceparent": {ours}, "baggage": {"a=b"}},
		},
		{"no metadata", traced, nil, metadata.MD{"traceparent": {ours}}},
		{"no span", t.Context(), metadata.MD{"traceparent": {"theirs"}}, metadata.MD{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			came := test.came.Copy()
			if test.came != nil {
				test.ctx = metadata.NewIncomingContext(test.ctx, test.came)
			}
			var got metadata.MD
			next := func(ctx context.Context, _ *hauberk.Call) error {
				got, _ = metadata.FromIncomingContext(ctx)
				return nil
			}
			if err := (forwardTrace{propagation.TraceContext{}}).Intercept(test.ctx, nil, next); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("forwarded (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(came, test.came.Copy()); diff != "" {
				t.Errorf("the incoming metadata was modified (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCarrier(t *testing.T) {
	c := carrier{}
	c.Set("X-Trace", "1")
	c.Set("x-trace", "2")
	if got := c.Get("X-TRACE"); got != "2" || !slices.Equal(c.Keys(), []string{"x-trace"}) || c.Get("none") != "" {
		t.Errorf("carrier %v; want x-trace 2 alone", c)
	}
}
