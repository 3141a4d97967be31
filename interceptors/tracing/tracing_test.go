package tracing_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	otelcodes "go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
	"github.com/hauberk-rpc/hauberk/internal/buildversion"
)

func kindOf(side hauberk.Side) trace.SpanKind {
	if side == hauberk.ClientSide {
		return trace.SpanKindClient
	}
	return trace.SpanKindServer
}

func TestSpan(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		s := record()
		env := c.Start(t, tracing.New(tracing.Config{}, s.option()))
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		env.Server.GracefulStop()
		span := s.only(t)
		name := strings.TrimPrefix(hauberktest.FullMethod(c.Kind), "/")
		if span.Name() != name || span.SpanKind() != kindOf(c.Side) || span.Parent().IsValid() {
			t.Errorf("a span %q of kind %v with parent %v", span.Name(), span.SpanKind(), span.Parent())
		}
		if span.Status().Code != otelcodes.Unset || len(span.Events()) != 0 || len(span.Links()) != 0 {
			t.Errorf("status %v, events %v, spans linked %v", span.Status(), span.Events(), span.Links())
		}
		want := map[string]any{
			"rpc.system.name": "grpc", "rpc.method": name, "rpc.response.status_code": "OK",
			"server.address": "bufconn", "server.port": nil, "error.type": nil, "rpc.method_original": nil,
			string(tracing.KeyAttempt): nil, string(tracing.KeyReason): nil,
		}
		if c.Side == hauberk.ServerSide {
			want["network.peer.address"] = "bufconn"
		}
		have(t, span.Attributes(), want)
		if scope := span.InstrumentationScope(); scope.Name != tracing.ScopeName || scope.SchemaURL != semconv.SchemaURL ||
			scope.Version == "" || scope.Version != buildversion.Hauberk() {
			t.Errorf("scope %v", scope)
		}
	})
}

// The codes that are errors are those of the semantic conventions for gRPC.
func TestStatus(t *testing.T) {
	serverErrors := map[codes.Code]bool{
		codes.Unknown: true, codes.DeadlineExceeded: true, codes.Unimplemented: true,
		codes.Internal: true, codes.Unavailable: true, codes.DataLoss: true,
	}
	names := map[codes.Code]string{
		0: "OK", 1: "CANCELLED", 2: "UNKNOWN", 3: "INVALID_ARGUMENT", 4: "DEADLINE_EXCEEDED", 5: "NOT_FOUND",
		6: "ALREADY_EXISTS", 7: "PERMISSION_DENIED", 8: "RESOURCE_EXHAUSTED", 9: "FAILED_PRECONDITION", 10: "ABORTED",
		11: "OUT_OF_RANGE", 12: "UNIMPLEMENTED", 13: "INTERNAL", 14: "UNAVAILABLE", 15: "DATA_LOSS",
		16: "UNAUTHENTICATED", 99: "CODE(99)",
	}
	for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
		for code, name := range names {
			t.Run(side.String()+"/"+name, func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				s := record()
				c := hauberktest.Case{Side: side, Kind: hauberk.Unary}
				env := c.StartWith(t, failing(code, "no such cart"), tracing.New(tracing.Config{}, s.option()))
				wantCode(t, env.Call(t.Context()).Err, code)
				env.Server.GracefulStop()
				span := s.only(t)
				isError := serverErrors[code] || side == hauberk.ClientSide && code != codes.OK
				want := map[string]any{"rpc.response.status_code": name, "error.type": nil}
				code, description := otelcodes.Unset, ""
				if isError {
					want["error.type"], code, description = name, otelcodes.Error, "no such cart"
				}
				have(t, span.Attributes(), want)
				if span.Status().Code != code || span.Status().Description != description {
					t.Errorf("status %v", span.Status())
				}
			})
		}
	}
}

// Calls of methods that the server does not have do not create span names.
func TestUnknownMethod(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			s := record()
			spans := tracing.New(tracing.Config{}, s.option())
			spans.Register(map[string]grpc.ServiceInfo{"a.Proxied": {Methods: []grpc.MethodInfo{{Name: "Get"}}}})
			env := hauberktest.Case{Kind: kind}.Start(t, spans)
			for _, method := range []string{"/evil.Service/Name", "/a.Proxied/Get", "/x/" + strings.Repeat("y", 1000)} {
				out := env.Do(t.Context(), method, []*testpb.Request{{}})
				wantCode(t, out.Err, codes.Unimplemented)
			}
			env.Server.GracefulStop()
			wanted := []struct {
				name     string
				method   string
				original any
			}{
				{"grpc", "_OTHER", "evil.Service/Name"},
				{"a.Proxied/Get", "a.Proxied/Get", nil},
				{"grpc", "_OTHER", "x/" + strings.Repeat("y", 254)},
			}
			for i, span := range s.Ended() {
				if span.Name() != wanted[i].name {
					t.Errorf("span %d is %q, want %q", i, span.Name(), wanted[i].name)
				}
				have(t, span.Attributes(), map[string]any{
					"rpc.method": wanted[i].method, "rpc.method_original": wanted[i].original,
					"rpc.response.status_code": "UNIMPLEMENTED", "error.type": "UNIMPLEMENTED",
				})
			}
			if len(s.Ended()) != len(wanted) {
				t.Errorf("%d spans", len(s.Ended()))
			}
		})
	}
}

// The number of span names of a client is bounded.
func TestClientMethodsAreBounded(t *testing.T) {
	s := record()
	chain := hauberk.Must(hauberk.New(tracing.New(tracing.Config{MaxMethods: 2}, s.option())))
	invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	for _, method := range []string{"/a.B/C", "/a.B/D", "/a.B/E", "/a.B/C"} {
		if err := chain.UnaryClientInterceptor()(t.Context(), method, "q", new(string), nil, invoke); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, span := range s.Ended() {
		got = append(got, span.Name())
	}
	if strings.Join(got, " ") != "a.B/C a.B/D grpc a.B/C" {
		t.Errorf("spans %q", got)
	}
	have(t, s.Ended()[2].Attributes(), map[string]any{"rpc.method": "_OTHER", "rpc.method_original": "a.B/E"})
}

// The handler is in the server's span, and the server's span is a child of the client's.
func TestOneTrace(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			s := record()
			var handlers trace.SpanContext
			chain := hauberk.Must(hauberk.New(tracing.New(tracing.Config{}, s.option())))
			backend := &hauberktest.Backend{Handle: func(ctx context.Context, stream hauberktest.Stream) error {
				handlers = trace.SpanContextFromContext(ctx)
				return hauberktest.Echo(ctx, stream)
			}}
			env := hauberktest.Start(t, hauberktest.Setup{Backend: backend, Server: chain, Client: chain, Kind: kind})
			wantCode(t, env.Call(t.Context()).Err, codes.OK)
			env.Server.GracefulStop()
			byKind := map[trace.SpanKind]int{}
			ended := s.Ended()
			for i, span := range ended {
				byKind[span.SpanKind()] = i
			}
			if len(ended) != 2 || len(byKind) != 2 {
				t.Fatalf("%d spans of %d kinds", len(ended), len(byKind))
			}
			client, server := ended[byKind[trace.SpanKindClient]], ended[byKind[trace.SpanKindServer]]
			if server.Parent().SpanID() != client.SpanContext().SpanID() || !server.Parent().IsRemote() ||
				server.SpanContext().TraceID() != client.SpanContext().TraceID() {
				t.Errorf("the server's span has the parent %v, want %v", server.Parent(), client.SpanContext())
			}
			if !handlers.Equal(server.SpanContext()) {
				t.Errorf("the handler is in %v", handlers)
			}
		})
	}
}

func TestRejection(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		s := record()
		rejecting := hauberk.Named("gate", hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
			return &hauberk.Rejection{
				Code: codes.ResourceExhausted, Reason: "GATE_CLOSED", Message: "the gate is closed", Cause: errors.New("secret"),
			}
		}))
		env := c.Start(t, tracing.New(tracing.Config{}, s.option()), rejecting)
		wantCode(t, env.Call(t.Context()).Err, codes.ResourceExhausted)
		env.Server.GracefulStop()
		span := s.only(t)
		have(t, span.Attributes(), map[string]any{
			string(tracing.KeyReason): "GATE_CLOSED", "rpc.response.status_code": "RESOURCE_EXHAUSTED",
		})
		if len(span.Events()) != 1 || span.Events()[0].Name != tracing.EventDecision {
			t.Fatalf("events %v", span.Events())
		}
		have(t, span.Events()[0].Attributes, map[string]any{
			"hauberk.interceptor": "gate", "hauberk.verdict": "rejected", "hauberk.reason": "GATE_CLOSED",
			"hauberk.shadow": false, "hauberk.rule": nil,
		})
	})
}

// A client's span contains the reason of a rejection by the server.
func TestRemoteReason(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.Bidi} {
		s := record()
		rejecting := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
			return hauberk.Reject(codes.PermissionDenied, "NOT_YOURS", "no")
		})
		env := hauberktest.Start(t, hauberktest.Setup{
			Kind: kind, Server: hauberk.Must(hauberk.New(rejecting)),
			Client: hauberk.Must(hauberk.New(tracing.New(tracing.Config{}, s.option()))),
		})
		wantCode(t, env.Call(t.Context()).Err, codes.PermissionDenied)
		have(t, s.only(t).Attributes(), map[string]any{string(tracing.KeyReason): "NOT_YOURS"})
		if len(s.only(t).Events()) != 0 {
			t.Errorf("the server's decision is an event of the client: %v", s.only(t).Events())
		}
	}
}

// The application's metadata is not modified. Its traceparent and tracestate are replaced by those of the
// span.
func TestInject(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.Bidi} {
		s := record()
		arrived := make(chan metadata.MD, 1)
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, stream hauberktest.Stream) error {
			md, _ := metadata.FromIncomingContext(ctx)
			arrived <- md
			return hauberktest.Echo(ctx, stream)
		}}
		c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
		env := c.StartWith(t, backend, tracing.New(tracing.Config{}, s.option()))
		own := metadata.Pairs("traceparent", sampled, "tracestate", "a=b", "x", "y", "baggage", "k=v")
		ctx := metadata.AppendToOutgoingContext(metadata.NewOutgoingContext(t.Context(), own), "Traceparent", unsampled)
		wantCode(t, env.Call(ctx).Err, codes.OK)
		sc := s.only(t).SpanContext()
		got := <-arrived
		want := map[string][]string{
			"traceparent": {"00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-01"},
			"tracestate":  nil, "x": {"y"}, "baggage": {"k=v"},
		}
		for key, values := range want {
			if strings.Join(got.Get(key), "|") != strings.Join(values, "|") {
				t.Errorf("%s is %q, want %q", key, got.Get(key), values)
			}
		}
		if own.Get("traceparent")[0] != sampled || own.Len() != 4 {
			t.Errorf("the application's metadata became %v", own)
		}
		if len(own.Get("tracestate")) != 1 {
			t.Error("the application's tracestate was removed")
		}
	}
}
