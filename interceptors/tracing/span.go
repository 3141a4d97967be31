package tracing

import (
	"context"
	"slices"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/codename"
)

// Attributes of spans in addition to those of the semantic conventions.
const (
	// KeyAttempt is the number of an attempt, from 1. previous-rpc-attempts of gRFC A72 is one
	// less.
	KeyAttempt = attribute.Key("hauberk.attempt")
	// KeyReason is the reason of a rejection, in UPPER_SNAKE_CASE. The rejection was made in
	// this process or, on a client, by the server.
	KeyReason = attribute.Key("hauberk.rejection.reason")
)

// span is an open span of the interceptor.
type span struct {
	trace.Span

	tracing   *Interceptor
	parent    trace.SpanID
	original  string // the name of a method without a span name
	recording bool
	attempt   int // from 1; 0 for a call
	outer     int // number of decisions of outer interceptors
	before    int // number of decisions recorded earlier
}

// record contains the spans of a call. It is in the state of the call.
type record struct {
	// current is the span that SpanContext returns to outer interceptors: the call's, or
	// that of the latest attempt if only attempts have spans.
	current  atomic.Pointer[span]
	siblings series // spans with the same parent as the first
	inner    series // spans inside the first
	first    span
	incoming incoming // the carrier while the first span starts
}

// series counts the spans of one place in the chain.
type series struct {
	count atomic.Int32
	outer atomic.Int32 // number of decisions of outer interceptors plus one; 0 if not known
}

var stateKey = hauberk.NewKey[*record]("trace")

// start starts a span. The returned context contains the span.
func (t *Interceptor) start(ctx context.Context, call *hauberk.Call, attempt bool) (context.Context, *span) {
	r, s, first := enter(call)
	s.tracing = t
	var caller trace.SpanContext
	if call.Side() == hauberk.ServerSide {
		ctx, caller = t.extract(ctx, call, r)
	}
	s.parent = trace.SpanContextFromContext(ctx).SpanID()
	if first {
		r = t.settle(call, r)
	}
	in := r.join(s, attempt)
	name, options := t.naming(call, s)
	if caller.IsValid() {
		options = append(slices.Clip(options), trace.WithNewRoot(), trace.WithLinks(trace.Link{SpanContext: caller}))
	}
	ctx, s.Span = t.tracer.Start(ctx, name, options...) //nolint:spancheck // ended by span.end
	if in == &r.siblings {
		r.current.Store(s)
	}
	if s.recording = s.IsRecording(); s.recording {
		s.prepare(call, in)
	}
	return ctx, s
}

// enter returns the record of a call and a new span. If the call has no record, it returns a new record
// and true.
func enter(call *hauberk.Call) (r *record, s *span, first bool) {
	if r, ok := stateKey.Get(call); ok {
		return r, new(span), false
	}
	r = new(record)
	return r, &r.first, true
}

// settle sets the record of a call and returns it. If attempts start concurrently, as hedges do, the
// record of one of them is used for all.
func (t *Interceptor) settle(call *hauberk.Call, r *record) *record {
	if call.Side() == hauberk.ClientSide {
		t.first.Lock()
		defer t.first.Unlock()
		if earlier, ok := stateKey.Get(call); ok {
			return earlier
		}
	}
	stateKey.Set(call, r)
	return r
}

// join adds a span to its series and sets its number if it is an attempt. A span inside the first span
// is an attempt, and so is a sibling of the first span that starts after it.
func (r *record) join(s *span, attempt bool) *series {
	in := &r.siblings
	if s != &r.first && s.parent != r.first.parent {
		in, attempt = &r.inner, true
	}
	if n := int(in.count.Add(1)); attempt || n > 1 {
		s.attempt = n
	}
	return in
}

// prepare enables the recording of decisions, metadata and messages for the span.
func (s *span) prepare(call *hauberk.Call, in *series) {
	s.before = len(call.Decisions().Recorded())
	if in.outer.Load() == 0 {
		in.outer.Store(int32(len(call.Decisions().All()) + 1))
	}
	s.outer = int(in.outer.Load()) - 1
	if s.tracing.config.ClientPeer {
		call.CaptureMetadata()
	}
	if s.tracing.config.MessageEvents {
		s.watch(call)
	}
}

// end ends the span with the outcome of next.
func (s *span) end(call *hauberk.Call, err error) {
	if s.recording {
		s.addDecisions(call)
		s.setOutcome(call, err)
	}
	// End is not deferred directly. It would see a panic and record its value: see
	// hauberk.Observe.
	s.End()
}

// setOutcome sets the status and the attributes that are known at the end.
func (s *span) setOutcome(call *hauberk.Call, err error) {
	code := hauberk.CodeOf(err)
	failed := isError(call.Side(), code)
	attrs := append(make([]attribute.KeyValue, 0, 4), semconv.RPCResponseStatusCode(codename.Of(code)))
	if failed {
		s.SetStatus(codes.Error, description(err))
		attrs = append(attrs, semconv.ErrorTypeKey.String(codename.Of(code)))
	}
	if reason := reasonOf(call.Side(), err); reason != "" {
		attrs = append(attrs, KeyReason.String(reason))
	}
	if s.original != "" {
		attrs = append(attrs, semconv.RPCMethodOriginal(s.original))
	}
	if s.attempt > 0 && call.Side() == hauberk.ClientSide {
		attrs = append(attrs, KeyAttempt.Int(s.attempt))
	}
	if call.Side() == hauberk.ServerSide || s.tracing.config.ClientPeer {
		attrs = appendPeer(attrs, call)
	}
	s.SetAttributes(attrs...)
}
