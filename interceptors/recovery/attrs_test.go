package recovery_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

var idKey = hauberk.NewKey[string]("id")

// setting puts a text into the state of calls.
func setting(text string) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		idKey.Set(call, text)
		return next(ctx, call)
	})
}

// If a call panics inside the interceptors that make its id and its span, the record has
// both.
func TestAttributes(t *testing.T) {
	for _, s := range sites[4:] {
		t.Run(s.name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				if s.serverOnly {
					c.Side = hauberk.ServerSide
				}
				testAttributes(t, c, s)
			})
		})
	}
}

func testAttributes(t *testing.T, c hauberktest.Case, s site) {
	t.Helper()
	var log journal
	ended := tracetest.NewSpanRecorder()
	spans := tracing.New(tracing.Config{},
		tracing.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(ended))))
	ids := requestid.New(requestid.Config{}, requestid.WithGenerator(func() string { return "r-1" }))
	x := recovery.New(recovery.Config{}, recovery.WithLogger(log.logger()),
		recovery.State("request_id", requestid.Key), recovery.State("unset", idKey), recovery.WithAttrs(tracing.LogAttrs))
	bad := &trap{spell: func() { panic(fmt.Errorf("cannot go on: %s", secret)) }}
	bad.armed.Store(true)
	backend := &hauberktest.Backend{}
	if s.handle != nil {
		backend.Handle = func(ctx context.Context, stream hauberktest.Stream) error {
			return s.handle(ctx, stream, bad.die)
		}
	}
	env := c.StartWith(t, backend, ids, spans, x, s.interceptor(bad.die))
	checkFixed(t, c, env.Call(t.Context()), recovery.ErrPanic)
	env.Server.GracefulStop()

	records := log.records(t)
	if len(records) != 1 || len(ended.Ended()) != 1 {
		t.Fatalf("%d log records and %d spans, want 1 of each", len(records), len(ended.Ended()))
	}
	r, span := records[0], ended.Ended()[0].SpanContext()
	if r["request_id"] != "r-1" || r["trace_id"] != span.TraceID().String() || r["span_id"] != span.SpanID().String() {
		t.Errorf("logged %v; want the request id r-1 and the ids of %v", r, span)
	}
	if _, ok := r["unset"]; ok || strings.Contains(fmt.Sprint(r), secret) {
		t.Errorf("logged %v", r)
	}
}

// If a call panics outside the interceptor that makes the id, the record has none.
func TestAttributesNotYetSet(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var log journal
		x := recovery.New(recovery.Config{}, recovery.WithLogger(log.logger()),
			recovery.State("id", idKey), recovery.WithAttrs(tracing.LogAttrs))
		env := c.Start(t, before(func() { panic(secret) }), x, setting("r-1"))
		checkFixed(t, c, env.Call(t.Context()), recovery.ErrPanic)
		records := log.records(t)
		if len(records) != 1 || records[0]["id"] != nil || records[0]["trace_id"] != nil {
			t.Errorf("logged %v, want one record without an id", records)
		}
	})
}

// A function that panics ends neither the process nor the call. It takes nothing from the
// record, and its panic has a separate record.
func TestAttributesPanic(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var log journal
		asked := 0
		x := recovery.New(recovery.Config{}, recovery.WithLogger(log.logger()), recovery.State("id", idKey),
			recovery.WithAttrs(func(context.Context, *hauberk.Call, []slog.Attr) []slog.Attr { panic(secret) }),
			recovery.WithAttrs(func(_ context.Context, call *hauberk.Call, list []slog.Attr) []slog.Attr {
				asked++
				return append(list, slog.String("region", "eu"), slog.String("of", call.Method().Name()))
			}),
			recovery.WithHandler(func(context.Context, *hauberk.Call, any, []byte) { panic(1) }))
		out := c.Start(t, setting("r-1"), x, before(func() { panic(secret) })).Call(t.Context())
		if st := status.Convert(out.Err); st.Code() != codes.Internal || st.Message() != recovery.DefaultMessage {
			t.Errorf("the call ended with %v", out.Err)
		}
		var logged []string
		for _, r := range log.records(t) {
			logged = append(logged, fmt.Sprint(r["msg"], ": ", r[recovery.KeyPanicType]))
			if r["id"] != "r-1" || r["region"] != "eu" || strings.Contains(fmt.Sprint(r), secret) {
				t.Errorf("logged %v", r)
			}
			if _, ok := r[recovery.KeyStack]; ok != (r["msg"] == "panic in a call") {
				t.Errorf("%s: has a stack: %t", r["msg"], ok)
			}
		}
		want := []string{"panic in a call: string", "panic in a function of WithAttrs: string", "panic in the handler of panics: int"}
		if !slices.Equal(logged, want) || asked != 1 || x.Panics() != 1 {
			t.Errorf("logged %q, asked %d times, counted %d; want %q, 1 and 1", logged, asked, x.Panics(), want)
		}
	})
}

// Texts of the state are cut, without characters that control terminals.
func TestStateBounds(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"empty":    {"", ""},
		"long":     {strings.Repeat("x", 5000), strings.Repeat("x", 4096) + "…"},
		"terminal": {"\u009b31m\x7f\u202e", "?31m??"},
		"lines":    {"a\n{\"msg\":\"forged\"}", "a\n{\"msg\":\"forged\"}"}, // the handler escapes it
	} {
		var log journal
		x := recovery.New(recovery.Config{}, recovery.WithLogger(log.logger()), recovery.State("id", idKey))
		serve := hauberk.Must(hauberk.New(setting(test.text), x, before(func() { panic(secret) })))
		if err := unaryCall(serve, service{})(t.Context()); status.Code(err) != codes.Internal {
			t.Errorf("%s: the call ended with %v", name, err)
		}
		if records := log.records(t); len(records) != 1 || records[0]["id"] != test.want {
			t.Errorf("%s: logged %v, want one record with %q", name, records, test.want)
		}
	}
}
