package tracing_test

import (
	"context"
	"log/slog"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// seen contains the IDs that an interceptor receives for its call.
type seen struct {
	before, after trace.SpanContext
	attrs         []slog.Attr
	exemplar      map[string]string
}

func (s *seen) interceptor() hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		s.before = tracing.SpanContext(ctx, call)
		err := next(ctx, call)
		s.after = tracing.SpanContext(ctx, call)
		s.attrs = tracing.LogAttrs(ctx, call, []slog.Attr{slog.Int("n", 1)})
		s.exemplar = tracing.Exemplar(ctx, call)
		return err
	})
}

func (s *seen) check(t *testing.T, where string, want trace.SpanContext) {
	t.Helper()
	if !s.after.Equal(want) {
		t.Errorf("%s: %v, want %v", where, s.after, want)
	}
	if len(s.attrs) != 3 || s.attrs[1].String() != "trace_id="+want.TraceID().String() ||
		s.attrs[2].String() != "span_id="+want.SpanID().String() {
		t.Errorf("%s: attributes %v", where, s.attrs)
	}
	if len(s.exemplar) != 1 || s.exemplar["trace_id"] != want.TraceID().String() {
		t.Errorf("%s: exemplar %v", where, s.exemplar)
	}
}

// Interceptors outside and inside tracing receive the IDs of the call's span, and those inside an
// attempt those of the attempt's span. The span of the caller is not mistaken for them.
func TestIDs(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		s := record()
		var outside, within, innermost seen
		interceptor := tracing.New(tracing.Config{}, s.option())
		env := c.Start(t, outside.interceptor(), interceptor, within.interceptor(), interceptor.Attempts(), innermost.interceptor())
		ctx, caller := s.provider.Tracer("caller").Start(t.Context(), "caller")
		defer caller.End()
		wantCode(t, env.Call(ctx).Err, codes.OK)
		env.Server.GracefulStop()
		ended := s.Ended()
		call := ended[len(ended)-1].SpanContext()
		outside.check(t, "outside", call)
		within.check(t, "inside", call)
		innermost.check(t, "innermost", ended[0].SpanContext())
		if c.Side == hauberk.ClientSide && (len(ended) != 2 || !outside.before.Equal(caller.SpanContext())) {
			t.Errorf("%d spans; before the call the span is %v", len(ended), outside.before)
		}
	})
}

func TestIDsOfNone(t *testing.T) {
	if got := tracing.LogAttrs(t.Context(), nil, nil); got != nil {
		t.Errorf("attributes %v", got)
	}
	if got := tracing.Exemplar(t.Context(), nil); got != nil {
		t.Errorf("exemplar %v", got)
	}
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	ctx := trace.ContextWithSpanContext(t.Context(), sc)
	if got := tracing.LogAttrs(ctx, nil, nil); len(got) != 2 {
		t.Errorf("attributes %v outside of calls", got)
	}
	if got := tracing.Exemplar(ctx, nil); got != nil {
		t.Errorf("exemplar %v of a trace that is not sampled", got)
	}
}

// An unsampled call has IDs for its log record and no exemplar.
func TestIDsOfUnsampled(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var outside seen
		s := record(sdktrace.NeverSample())
		env := c.Start(t, outside.interceptor(), tracing.New(tracing.Config{}, s.option()))
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		env.Server.GracefulStop()
		if !outside.after.IsValid() || len(outside.attrs) != 3 || outside.exemplar != nil {
			t.Errorf("attributes %v, exemplar %v", outside.attrs, outside.exemplar)
		}
	})
}
