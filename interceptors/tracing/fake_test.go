package tracing_test

import (
	"context"
	"log/slog"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// Headers of callers.
const (
	callersTrace = "0af7651916cd43dd8448eb211c80319c"
	callersSpan  = "b7ad6b7169203331"
	sampled      = "00-" + callersTrace + "-" + callersSpan + "-01"
	unsampled    = "00-" + callersTrace + "-" + callersSpan + "-00"
)

// spans records the spans of a provider.
type spans struct {
	*tracetest.SpanRecorder

	provider *sdktrace.TracerProvider
}

// record returns a recorder with a provider. The provider uses the sampler, or samples all traces.
func record(sampler ...sdktrace.Sampler) *spans {
	r := tracetest.NewSpanRecorder()
	opts := []sdktrace.TracerProviderOption{sdktrace.WithSpanProcessor(r)}
	for _, s := range sampler {
		opts = append(opts, sdktrace.WithSampler(s))
	}
	return &spans{r, sdktrace.NewTracerProvider(opts...)}
}

func (s *spans) option() tracing.Option { return tracing.WithTracerProvider(s.provider) }

// only returns the only span. It fails if another span has started.
func (s *spans) only(t *testing.T) sdktrace.ReadOnlySpan {
	t.Helper()
	if len(s.Ended()) != 1 || len(s.Started()) != 1 {
		t.Fatalf("%d spans have ended and %d started, want 1", len(s.Ended()), len(s.Started()))
	}
	return s.Ended()[0]
}

// attributes returns the attributes as a map.
func attributes(list []attribute.KeyValue) map[string]any {
	m := make(map[string]any, len(list))
	for _, a := range list {
		m[string(a.Key)] = a.Value.AsInterface()
	}
	return m
}

// have checks attributes. An attribute with the value nil must be missing.
func have(t *testing.T, list []attribute.KeyValue, want map[string]any) {
	t.Helper()
	got := attributes(list)
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s is %v, want %v", key, got[key], value)
		}
	}
}

// calling returns the context of a caller that sends metadata.
func calling(ctx context.Context, pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

// inside returns an interceptor that calls see before next.
func inside(see func(ctx context.Context, call *hauberk.Call)) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		see(ctx, call)
		return next(ctx, call)
	})
}

// failing returns a backend that ends calls with a status. It echoes if the status is OK.
func failing(code codes.Code, message string) *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		if code == codes.OK {
			return hauberktest.Echo(ctx, s)
		}
		return status.Error(code, message)
	}}
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Fatalf("the caller received %v, want %s", err, want)
	}
}

func mustTraceID(t *testing.T) trace.TraceID {
	t.Helper()
	id, err := trace.TraceIDFromHex(callersTrace)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// parentOf returns the ID of a span's parent.
func parentOf(s sdktrace.ReadOnlySpan) string { return s.Parent().SpanID().String() }

// counting makes the same IDs for every trace.
type counting struct{}

func (counting) NewIDs(context.Context) (trace.TraceID, trace.SpanID) {
	return trace.TraceID{1}, trace.SpanID{2}
}

func (counting) NewSpanID(context.Context, trace.TraceID) trace.SpanID { return trace.SpanID{3} }

// answer is a server that answers immediately.
func answer(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
	return nil
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
