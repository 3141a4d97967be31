package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// The names of the two that are compared.
const (
	oursTraced   = "tracing"
	theirsTraced = "otelgrpc"
)

// difference is a difference between our spans and otelgrpc's: the scenario ("" for any),
// the side, what differs, and why.
type difference struct{ scenario, side, what, reason string }

// intended are the differences. Each must occur, and no other may occur, except those of
// raced.
var intended = []difference{
	{
		"", "client", "attribute error.type is only ours",
		"the conventions ask for it if the operation failed; otelgrpc has it in metrics alone",
	},
	{"", "server", "attribute error.type is only ours", "as on a client"},
	{
		"", "client", "attribute server.address differs",
		"the conventions want the name that the connection was made for, and no address of the network",
	},
	{
		"no server", "client", "attribute server.address is only ours",
		"otelgrpc learns it when a connection is there",
	},
	{"no server", "client", "attribute server.port is only ours", "as server.address"},
	{
		"stale state", "server", "tracestate differs",
		"a tracestate that the application has put there belongs to another traceparent, and goes with that",
	},
	{
		"", "server", "attribute network.peer.address is only ours",
		"recommended by the conventions; otelgrpc has left it out",
	},
	{"", "server", "attribute network.peer.port is only ours", "as network.peer.address"},
	{
		"unknown method", "server", "name differs",
		"the conventions name the spans of unknown methods after the system: untrusted callers make no names",
	},
	{"unknown method", "server", "attribute rpc.method differs", "it is _OTHER, likewise"},
	{
		"unknown method", "server", "attribute rpc.method_original is only ours",
		"the conventions require it in addition to _OTHER",
	},
	{
		"rejected by the server", "server", "attribute hauberk.rejection.reason is only ours",
		"the reason that an interceptor of the chain rejected for",
	},
	{"rejected by the server", "client", "attribute hauberk.rejection.reason is only ours", "as the client received it"},
	{
		"rejected by the server", "server", "event hauberk.decision is only ours",
		"the decision trace; a stats handler does not see interceptors",
	},
	{
		"rejected by the client", "client", "a span is only ours",
		"a call that is rejected in the process never reaches a stats handler",
	},
	{
		"retried", "client", "a span is only ours",
		"the call has a span around those of its attempts, as the conventions require; otelgrpc has those of attempts only",
	},
	{"retried", "client", "parent differs", "attempts are children of that span"},
	{"retried", "client", "attribute hauberk.attempt is only ours", "the number of the attempt"},
	{
		"late send", "client", "attribute rpc.response.status_code differs",
		"if the server ends a call before the client's message is sent, grpc-go reports no error to stats handlers, " +
			"although the application receives one, and otelgrpc records OK",
	},
	{"late send", "client", "status differs", "likewise"},
}

// raced are differences of "late send" that depend on timing: the server ends calls of
// unknown methods at once.
var raced = []difference{
	{"unknown method", "client", "attribute rpc.response.status_code differs", "as in a late send"},
	{"unknown method", "client", "status differs", "as in a late send"},
}

// traced is one of the two that are compared, on both sides.
type traced struct {
	recorder         *tracetest.SpanRecorder
	provider         *sdktrace.TracerProvider
	server, outer    []hauberk.Interceptor
	inner            []hauberk.Interceptor
	serving, dialing []any
}

func tracedBy(which string) *traced {
	r := &traced{recorder: tracetest.NewSpanRecorder()}
	r.provider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r.recorder))
	if which == oursTraced {
		interceptor := tracing.New(tracing.Config{}, tracing.WithTracerProvider(r.provider), tracing.WithPropagator(w3cPropagator()))
		r.server, r.outer, r.inner = []hauberk.Interceptor{interceptor}, []hauberk.Interceptor{interceptor}, []hauberk.Interceptor{interceptor.Attempts()}
		return r
	}
	opts := otelgrpcOptions(r.provider)
	r.serving = []any{grpc.StatsHandler(otelgrpc.NewServerHandler(opts...))}
	r.dialing = []any{grpc.WithStatsHandler(otelgrpc.NewClientHandler(opts...))}
	return r
}

// run makes a call of a scenario over a connection, and returns the spans.
func (r *traced) run(t *testing.T, sc scenario, kind hauberk.Kind) []view {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	answered := make(trailers, 8)
	srv := chainOf(append(r.server, sc.server...)...).NewServer(
		append(typed[grpc.ServerOption](r.serving), grpc.StatsHandler(answered))...)
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{Handle: sc.handle})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	_, port, _ := net.SplitHostPort(lis.Addr().String())
	conn := r.dial(t, sc, port)
	ctx, caller := r.provider.Tracer("caller").Start(t.Context(), "caller")
	err = makeCall(ctx, conn, sc, kind, answered)
	caller.End()
	if sc.over != nil {
		close(sc.over)
	}
	if status.Code(err) != sc.code {
		t.Errorf("the caller got %v, want %s", err, sc.code)
	}
	_ = conn.Close()
	srv.GracefulStop()
	<-served
	return views(slices.DeleteFunc(r.recorder.Ended(), func(s sdktrace.ReadOnlySpan) bool {
		return sc.late && strings.HasSuffix(s.Name(), "/Unary") // see awaitEnd
	}), port)
}

func (r *traced) dial(t *testing.T, sc scenario, port string) *grpc.ClientConn {
	t.Helper()
	interceptors := append(slices.Clone(r.outer), sc.client...)
	if sc.retried {
		interceptors = append(interceptors, r.inner...)
	}
	opts := append(typed[grpc.DialOption](r.dialing), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if sc.away {
		opts = append(opts, grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			return nil, errors.New("no one is there")
		}))
	}
	conn, err := grpc.NewClient("passthrough:///localhost:"+port, chainOf(interceptors...).DialOptions(opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func typed[T any](list []any) []T {
	out := make([]T, len(list))
	for i, x := range list {
		out[i], _ = x.(T)
	}
	return out
}

func makeCall(
	ctx context.Context, conn grpc.ClientConnInterface, sc scenario, kind hauberk.Kind, answered trailers,
) error {
	method := sc.method
	if method == "" {
		method = hauberktest.FullMethod(kind)
	}
	if sc.before != nil {
		ctx = sc.before(ctx)
	}
	req, resp := &testpb.Request{Text: "x"}, &testpb.Response{}
	if kind == hauberk.Unary {
		return conn.Invoke(ctx, method, req, resp)
	}
	desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
	stream, err := conn.NewStream(ctx, desc, method)
	if err != nil {
		return err
	}
	// If the server may end a stream of requests first, the client sends none: for a send
	// that comes too late grpc-go reports no error to stats handlers.
	if sc.late {
		awaitEnd(ctx, conn, answered)
	}
	if sc.code == codes.OK || sc.late || !desc.ClientStreams {
		if err := stream.SendMsg(req); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return receiveAll(stream, resp, kind.ServerStreams())
}

// TestTracingLikeOtelgrpc makes the same calls through otelgrpc and through ours.
func TestTracingLikeOtelgrpc(t *testing.T) {
	occurred := make([]bool, len(intended))
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		// A scenario serves one call, since it has channels. So each of the two gets its own.
		own, others := scenarios(kind), scenarios(kind)
		for i, sc := range own {
			t.Run(kind.String()+"/"+sc.name, func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				ours, theirs := tracedBy(oursTraced).run(t, sc, kind), tracedBy(theirsTraced).run(t, others[i], kind)
				for _, what := range compare(ours, theirs) {
					if !meant(sc.name, what, occurred) {
						t.Errorf("%s; ours:\n%s\notelgrpc's:\n%s", what, lined(ours), lined(theirs))
					}
				}
			})
		}
	}
	for i, d := range intended {
		if !occurred[i] && !t.Failed() {
			t.Errorf("%q, %s: %s: this difference does not occur", d.scenario, d.side, d.what)
		}
	}
}

// meant reports whether a difference is intended, and marks it as occurred.
func meant(scenario, what string, occurred []bool) bool {
	is := func(d difference) bool {
		return (d.scenario == "" || d.scenario == scenario) && d.side+": "+d.what == what && d.reason != ""
	}
	if at := slices.IndexFunc(intended, is); at >= 0 {
		occurred[at] = true
		return true
	}
	return slices.ContainsFunc(raced, is)
}

func lined(all []view) string {
	var text strings.Builder
	for i := range all {
		fmt.Fprintf(&text, "  %+v\n", &all[i])
	}
	return text.String()
}

// BenchmarkTracing compares our interceptor with otelgrpc on a unary call, and each with
// the same call without tracing.
func BenchmarkTracing(b *testing.B) {
	for _, row := range tracingRows() {
		b.Run(row.name, func(b *testing.B) {
			call := row.make()
			b.ReportAllocs()
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func tracingRows() []variant {
	ours := func(side func(...hauberk.Interceptor) func() error, sampled bool) func() func() error {
		return func() func() error { return side(newTracing(sampled)) }
	}
	theirs := func(side func(bool) func() error, sampled bool) func() func() error {
		return func() func() error { return side(sampled) }
	}
	empty := func(side func(...hauberk.Interceptor) func() error) func() func() error {
		return func() func() error { return side(idleInterceptors(1)...) }
	}
	return []variant{
		{"server/bare", bareServerCall},
		{"server/otelgrpc-sampled", theirs(otelgrpcServerCall, true)},
		{"server/otelgrpc-unsampled", theirs(otelgrpcServerCall, false)},
		{"server/idle-interceptor", empty(tracedServerCall)},
		{"server/hauberk-sampled", ours(tracedServerCall, true)},
		{"server/hauberk-unsampled", ours(tracedServerCall, false)},
		{"client/bare", bareClientCall},
		{"client/otelgrpc-sampled", theirs(otelgrpcClientCall, true)},
		{"client/otelgrpc-unsampled", theirs(otelgrpcClientCall, false)},
		{"client/idle-interceptor", empty(tracedClientCall)},
		{"client/hauberk-sampled", ours(tracedClientCall, true)},
		{"client/hauberk-unsampled", ours(tracedClientCall, false)},
	}
}
