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
)

// Attributes of spans besides those of the semantic conventions.
const (
	// KeyAttempt is the number of an attempt, from 1. gRFC A72 counts
	// previous-rpc-attempts, which is one less.
	KeyAttempt = attribute.Key("hauberk.attempt")
	// KeyReason is the reason of a rejection, in UPPER_SNAKE_CASE: one made in this
	// process, and on a client also one that came over the wire.
	KeyReason = attribute.Key("hauberk.rejection.reason")
)

// span is one of ours while it is open.
type span struct {
	trace.Span

	tracing   *Interceptor
	parent    trace.SpanID
	original  string // the name of a method that is not recognized
	recording bool
	attempt   int // from 1; 0 for a call
	outer     int // how many decisions there are of outer interceptors
	before    int // how many decisions were recorded before
}

// record is what the state of a call keeps of its spans.
type record struct {
	// current is the span that outer interceptors see: the call's, or where there are
	// only those of attempts the latest.
	current  atomic.Pointer[span]
	beside   series // spans with the parent of the first
	inside   series // spans inside the first
	first    span
	incoming incoming // the carrier, while the first span starts
}

// series are the spans of one place in the chain.
type series struct {
	count atomic.Int32
	outer atomic.Int32 // one more than the decisions of outer interceptors, once that is known
}

var stateKey = hauberk.NewKey[*record]("trace")

// start starts a span. The context it returns has the span.
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
	if in == &r.beside {
		r.current.Store(s)
	}
	if s.recording = s.IsRecording(); s.recording {
		s.prepare(call, in)
	}
	return ctx, s
}

// enter returns the record of a call and a span for it, and whether that is the
// first, with a new record.
func enter(call *hauberk.Call) (r *record, s *span, first bool) {
	if r, ok := stateKey.Get(call); ok {
		return r, new(span), false
	}
	r = new(record)
	return r, &r.first, true
}

// settle gives a call its record, and returns it. Of attempts that start beside each
// other, as hedges do, one is the first; the spans of the others join its record.
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

// join puts a span into its series, and gives it a number if it is an attempt's: one
// inside the first span, or on the first's level, where it has the same parent, one
// after the first.
func (r *record) join(s *span, attempt bool) *series {
	in := &r.beside
	if s != &r.first && s.parent != r.first.parent {
		in, attempt = &r.inside, true
	}
	if n := int(in.count.Add(1)); attempt || n > 1 {
		s.attempt = n
	}
	return in
}

// prepare asks the call for what the span is to tell.
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
		s.tellDecisions(call)
		s.tellOutcome(call, err)
	}
	// Not deferred itself, End does not see a panic, whose value it would record: see
	// hauberk.Observe.
	s.End()
}

// tellOutcome sets the status and the attributes that are known at the end, all at
// once.
func (s *span) tellOutcome(call *hauberk.Call, err error) {
	code := hauberk.CodeOf(err)
	failed := isError(call.Side(), code)
	attrs := append(make([]attribute.KeyValue, 0, 4), semconv.RPCResponseStatusCode(nameOf(code)))
	if failed {
		s.SetStatus(codes.Error, description(err))
		attrs = append(attrs, semconv.ErrorTypeKey.String(nameOf(code)))
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
