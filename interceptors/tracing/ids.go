package tracing

import (
	"context"
	"encoding/hex"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"github.com/hauberk-rpc/hauberk"
)

// SpanContext returns the identity of the span that an interceptor or a handler belongs to,
// by its context and its call: the one around it, and for an interceptor outside of tracing,
// after next, the call's, or the last attempt's where only attempts have spans. It
// is not valid where there is none. call may be nil. Safe for concurrent use.
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

// Names of the attributes that [LogAttrs] adds, those of OpenTelemetry's log
// records in formats other than its own, and of the label of [Exemplar].
const (
	KeyTraceID = "trace_id"
	KeySpanID  = "span_id"
)

// LogAttrs appends the trace_id and span_id of [SpanContext] to a list, in
// hexadecimal, or nothing where there is no span. It is made for log records and
// costs one allocation. Safe for concurrent use.
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

// Exemplar returns the label of an exemplar for a call: its trace_id, if the trace
// is sampled, so that it can be found; nil otherwise. Safe for concurrent use.
func Exemplar(ctx context.Context, call *hauberk.Call) map[string]string {
	sc := SpanContext(ctx, call)
	if !sc.IsValid() || !sc.IsSampled() {
		return nil
	}
	return map[string]string{KeyTraceID: sc.TraceID().String()}
}
