package sidecar

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/otelenv"
)

// The record of a panic has the same ids as the record of the call's end: the request id
// and, with tracing, the trace and span ids.
func TestPanicRecordHasIDs(t *testing.T) {
	for name, providers := range map[string]*otelenv.Providers{
		"without traces": {},
		"with traces":    {Tracer: sdktrace.NewTracerProvider(), Propagator: propagation.TraceContext{}},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			p, err := (&options{}).newPolicy(&out, providers, nil)
			if err != nil {
				t.Fatal(err)
			}
			handler := func(context.Context, any) (any, error) { panic("canary-panic") }
			_, err = p.chain.UnaryServerInterceptor()(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/s/m"}, handler)
			if status.Code(err) != codes.Internal {
				t.Errorf("the call ended with %v", err)
			}
			records := decoded(t, out.String())
			if len(records) != 2 || records[0]["msg"] != "panic in a call" || records[1]["msg"] != "call ended" {
				t.Fatalf("logged %s", &out)
			}
			for _, key := range []string{"request_id", "trace_id", "span_id"} {
				want := key == "request_id" || providers.Tracer != nil
				if got := records[0][key]; got != records[1][key] || (got != nil) != want {
					t.Errorf("%s is %v and %v, want one: %t", key, got, records[1][key], want)
				}
			}
		})
	}
}

func decoded(t *testing.T, log string) (records []map[string]any) {
	t.Helper()
	for line := range strings.Lines(log) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		records = append(records, r)
	}
	return records
}
