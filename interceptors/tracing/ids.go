package tracing

import (
	"context"
	"encoding/hex"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"github.com/hauberk-rpc/hauberk"
)

// SpanContext returns the span context for an interceptor or a handler. This is the span in ctx. For an
// interceptor outside tracing it is, after next has returned, the span of the call, or that of the
// last attempt if only attempts have spans. The result is not valid if there is no span. call may be
// nil. Safe for concurrent use.
func SpanContext(ctx context.Context, call *hauberk.Call) trace.SpanContext {
	around := trace.SpanContextFromContext(ctx)
	r, ok := stateKey.Get(call)
	if !ok {
		return around
	}
	current := r.current.Load()
	if current == nil || around.IsValid() && around.SpanID() != current.parent {
		return around
	}
	return current.SpanContext()
}

// Names of the attributes of [LogAttrs] and of the label of [Exemplar]. They are those that
// OpenTelemetry specifies for trace context in log formats other than OTLP.
const (
	KeyTraceID = "trace_id"
	KeySpanID  = "span_id"
)

// LogAttrs appends trace_id and span_id of [SpanContext] to list, in hexadecimal. It appends nothing if
// there is no span. It costs one allocation. Safe for concurrent use.
func LogAttrs(ctx context.Context, call *hauberk.Call, list []slog.Attr) []slog.Attr {
	sc := SpanContext(ctx, call)
	if !sc.IsValid() {
		return list
	}
	traceID, spanID := sc.TraceID(), sc.SpanID()
	var text [2 * (len(traceID) + len(spanID))]byte
	hex.Encode(text[:], traceID[:])
	hex.Encode(text[2*len(traceID):], spanID[:])
	ids := string(text[:])
	return append(list,
		slog.String(KeyTraceID, ids[:2*len(traceID)]), slog.String(KeySpanID, ids[2*len(traceID):]))
}

// Exemplar returns the label trace_id for an exemplar of a call. It returns nil if the trace is not
// sampled, since the trace could not be found. Safe for concurrent use.
func Exemplar(ctx context.Context, call *hauberk.Call) map[string]string {
	sc := SpanContext(ctx, call)
	if !sc.IsValid() || !sc.IsSampled() {
		return nil
	}
	return map[string]string{KeyTraceID: sc.TraceID().String()}
}
