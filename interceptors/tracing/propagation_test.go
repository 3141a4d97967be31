package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// received contains the trace and the baggage that a server accepted from its caller.
type received struct {
	parent  trace.SpanContext
	baggage baggage.Baggage
}

// serve makes a call of a kind with metadata to a server with tracing.
func serve(t *testing.T, kind hauberk.Kind, config tracing.Config, pairs ...string) received {
	t.Helper()
	s := record()
	var got received
	env := hauberktest.Case{Kind: kind}.Start(t, tracing.New(config, s.option()),
		inside(func(ctx context.Context, _ *hauberk.Call) { got.baggage = baggage.FromContext(ctx) }))
	wantCode(t, env.Call(calling(t.Context(), pairs...)).Err, codes.OK)
	env.Server.GracefulStop()
	got.parent = s.only(t).Parent()
	return got
}

func TestParent(t *testing.T) {
	for _, test := range []struct {
		name  string
		pairs []string
		trace string // "" for a new trace
		state string
	}{
		{name: "none"},
		{name: "sampled", pairs: []string{"traceparent", sampled}, trace: callersTrace},
		{name: "with state", pairs: []string{"traceparent", sampled, "tracestate", "a=1,b=2"}, trace: callersTrace, state: "a=1,b=2"},
		{
			name:  "state in two headers",
			pairs: []string{"traceparent", sampled, "tracestate", "a=1", "tracestate", "b=2"},
			trace: callersTrace, state: "a=1,b=2",
		},
		{name: "two different", pairs: []string{"traceparent", sampled, "traceparent", unsampled}},
		{name: "two equal", pairs: []string{"traceparent", sampled, "traceparent", sampled}},
		{name: "two in one header", pairs: []string{"traceparent", sampled + "," + sampled}},
		{name: "zero trace", pairs: []string{"traceparent", "00-" + strings.Repeat("0", 32) + "-" + callersSpan + "-01"}},
		{name: "zero span", pairs: []string{"traceparent", "00-" + callersTrace + "-0000000000000000-01"}},
		{name: "upper case", pairs: []string{"traceparent", strings.ToUpper(sampled)}},
		{name: "version ff", pairs: []string{"traceparent", "ff" + sampled[2:]}},
		{name: "a later version", pairs: []string{"traceparent", "cc" + sampled[2:] + "-more"}, trace: callersTrace},
		{name: "additional fields in version 00", pairs: []string{"traceparent", sampled + "-more"}},
		{name: "garbage", pairs: []string{"traceparent", "what?", "tracestate", "a=1"}},
		{name: "invalid state", pairs: []string{"traceparent", sampled, "tracestate", "A=b;;=,"}, trace: callersTrace},
		{name: "state alone", pairs: []string{"tracestate", "a=1"}},
	} {
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.Bidi} {
			t.Run(test.name+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				got := serve(t, kind, tracing.Config{}, test.pairs...).parent
				if test.trace == "" && got.IsValid() || test.trace != "" && got.TraceID().String() != test.trace {
					t.Errorf("the parent is %s, want %q", got.TraceID(), test.trace)
				}
				if got.TraceState().String() != test.state {
					t.Errorf("the tracestate is %q, want %q", got.TraceState(), test.state)
				}
			})
		}
	}
}

// many returns a list of n members.
func many(n int, format string) string {
	members := make([]string, n)
	for i := range members {
		members[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(members, ",")
}

// Tracestate from untrusted callers is bounded (ATTACKS G04).
func TestBoundedTraceState(t *testing.T) {
	long := "long=" + strings.Repeat("x", 200)
	bytes512 := many(4, "k%02d="+strings.Repeat("x", 123)) + "x" // 4 members of 127 bytes, 3 commas and 1 byte
	for _, test := range []struct {
		name   string
		config tracing.Config
		state  string
		want   string
	}{
		{"8 KiB", tracing.Config{}, many(500, "key%03d=12345678"), many(32, "key%03d=12345678")[:31*16+15]},
		{"long members are removed first", tracing.Config{}, long + "," + many(40, "k%02d=v") + "," + long, many(32, "k%02d=v")},
		{"40 members", tracing.Config{}, many(40, "k%02d=v"), many(32, "k%02d=v")},
		{"33 members", tracing.Config{}, many(33, "k%02d=v"), many(32, "k%02d=v")},
		{"512 bytes", tracing.Config{}, bytes512, bytes512},
		{"513 bytes", tracing.Config{}, bytes512 + "x", many(3, "k%02d="+strings.Repeat("x", 123))},
		{"lower bound", tracing.Config{MaxTraceState: 10}, "a=1,b=2,c=3,d=4", "a=1,b=2"},
		{"member longer than the bound", tracing.Config{MaxTraceState: 5}, "a=12345,b=2", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			got := serve(t, hauberk.Unary, test.config, "traceparent", sampled, "tracestate", test.state)
			if got.parent.TraceState().String() != test.want {
				t.Errorf("%d bytes of tracestate: %q\nwant %q", got.parent.TraceState().Len(), got.parent.TraceState(), test.want)
			}
			if !got.parent.IsValid() {
				t.Error("the parent is not valid")
			}
		})
	}
}

func TestBaggage(t *testing.T) {
	for _, test := range []struct {
		name   string
		config tracing.Config
		values []string
		want   int
	}{
		{"none", tracing.Config{}, nil, 0},
		{"two members", tracing.Config{}, []string{"k1=v1,k2=v2;prop"}, 2},
		{"two headers", tracing.Config{}, []string{"k1=v1", "k2=v2"}, 2},
		{"partly invalid", tracing.Config{}, []string{"k1=v1,what,=,k2=v2"}, 2},
		{"invalid", tracing.Config{}, []string{" ;;,,%zz"}, 0},
		{"8192 bytes", tracing.Config{}, []string{"k=" + strings.Repeat("x", 8190)}, 1},
		{"8193 bytes", tracing.Config{}, []string{"k=" + strings.Repeat("x", 8191)}, 0},
		{"8193 bytes in two headers", tracing.Config{}, []string{"k=" + strings.Repeat("x", 4094), "l=" + strings.Repeat("x", 4094)}, 0},
		{"70 members", tracing.Config{}, []string{many(70, "k%d=v")}, 64},
		{"lower bound of members", tracing.Config{MaxBaggageMembers: 3}, []string{many(4, "k%d=v")}, 3},
		{"exactly the bound", tracing.Config{MaxBaggageMembers: 4}, []string{many(4, "k%d=v")}, 4},
		{"lower bound of bytes", tracing.Config{MaxBaggageBytes: 8}, []string{"k=v,l=v,m=v"}, 0},
		{"NoBaggage", tracing.Config{NoBaggage: true}, []string{"k=v"}, 0},
		{"PublicEndpoint", tracing.Config{PublicEndpoint: true}, []string{"k=v"}, 1},
		{"untrusted callers", tracing.Config{PublicEndpoint: true, NoBaggage: true}, []string{"k=v"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			var pairs []string
			for _, v := range test.values {
				pairs = append(pairs, "baggage", v)
			}
			if got := serve(t, hauberk.Unary, test.config, pairs...).baggage.Len(); got != test.want {
				t.Errorf("%d members, want %d", got, test.want)
			}
		})
	}
}

// Baggage is propagated from the client's context to the handler's context.
func TestBaggageTravels(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		s := record()
		chain := hauberk.Must(hauberk.New(tracing.New(tracing.Config{}, s.option())))
		var got baggage.Baggage
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, stream hauberktest.Stream) error {
			got = baggage.FromContext(ctx)
			return hauberktest.Echo(ctx, stream)
		}}
		env := hauberktest.Start(t, hauberktest.Setup{Backend: backend, Server: chain, Client: chain, Kind: c.Kind})
		bag, err := baggage.Parse("tenant=a%20b")
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, env.Call(baggage.ContextWithBaggage(t.Context(), bag)).Err, codes.OK)
		env.Server.GracefulStop()
		if got.Member("tenant").Value() != "a b" {
			t.Errorf("the handler received the baggage %q", got)
		}
	})
}

// Invalid baggage does not reach OpenTelemetry's error handler, which would print it.
func TestInvalidBaggageIsNotPrinted(t *testing.T) {
	before := otel.GetErrorHandler()
	t.Cleanup(func() { otel.SetErrorHandler(before) })
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { t.Errorf("printed: %v", err) }))
	if got := serve(t, hauberk.Unary, tracing.Config{}, "baggage", "canary secret").baggage.Len(); got != 0 {
		t.Errorf("%d members", got)
	}
}

// The bounds and the rule for several values apply to a custom propagator.
func TestCustomPropagator(t *testing.T) {
	hauberktest.CheckLeaks(t)
	s := record()
	var bag baggage.Baggage
	ours := tracing.New(tracing.Config{MaxBaggageMembers: 2}, s.option(), tracing.WithPropagator(
		propagation.NewCompositeTextMapPropagator(upperCased{}, propagation.TraceContext{}, propagation.Baggage{})))
	env := hauberktest.Case{}.Start(t, ours,
		inside(func(ctx context.Context, _ *hauberk.Call) { bag = baggage.FromContext(ctx) }))
	wantCode(t, env.Call(calling(t.Context(), "traceparent", sampled, "tracestate", many(300, "key%03d=12345678"),
		"baggage", "a=1", "baggage", "b=2,c=3", "x-own", strings.Repeat("x", 8193))).Err, codes.OK)
	env.Server.GracefulStop()
	state := s.only(t).Parent().TraceState().String()
	if len(state) > tracing.DefaultMaxTraceState || state == "" || bag.Len() != 2 {
		t.Errorf("tracestate %q, baggage %q", state, bag)
	}
}

// Config.NoBaggage drops baggage that a custom propagator reads from its own headers, as OpenTracing's
// does. It keeps the baggage that this process has set.
func TestNoBaggageOfCustomPropagator(t *testing.T) {
	for _, test := range []struct {
		name   string
		before []string // members that this process has set
		want   string
	}{{"of a caller", nil, ""}, {"of this process", []string{"own=1"}, "own=1"}} {
		t.Run(test.name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				bag, err := baggage.Parse(strings.Join(test.before, ","))
				return errors.Join(err, next(baggage.ContextWithBaggage(ctx, bag), call))
			})
			var got baggage.Baggage
			env := hauberktest.Case{}.Start(t, outer,
				tracing.New(tracing.Config{NoBaggage: true}, record().option(), tracing.WithPropagator(ownBaggage{})),
				inside(func(ctx context.Context, _ *hauberk.Call) { got = baggage.FromContext(ctx) }))
			wantCode(t, env.Call(calling(t.Context(), "x-own-baggage", "callers=1")).Err, codes.OK)
			if got.String() != test.want {
				t.Errorf("the baggage is %q, want %q", got, test.want)
			}
		})
	}
}

// ownBaggage is a propagator with a custom header for baggage.
type ownBaggage struct{ propagation.TraceContext }

func (ownBaggage) Extract(ctx context.Context, c propagation.TextMapCarrier) context.Context {
	bag, _ := baggage.Parse(c.Get("x-own-baggage"))
	return baggage.ContextWithBaggage(ctx, bag)
}

// upperCased is a propagator that reads all headers and writes a header in upper case.
type upperCased struct{}

func (upperCased) Inject(_ context.Context, c propagation.TextMapCarrier) {
	if c.Get("X-Own") == "" {
		c.Set("X-Own", fmt.Sprint(len(c.Keys())))
	}
}

func (upperCased) Extract(ctx context.Context, c propagation.TextMapCarrier) context.Context {
	for _, key := range c.Keys() {
		if len(c.Get(key)) > 8192 {
			panic(key + " is too long")
		}
		c.Set(key, "ignored")
	}
	return ctx
}

func (upperCased) Fields() []string { return []string{"X-Own"} }

// A client sends the headers of a custom propagator under lower-case keys. They replace those of the
// application.
func TestCustomPropagatorOnClient(t *testing.T) {
	hauberktest.CheckLeaks(t)
	arrived := make(chan metadata.MD, 1)
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, stream hauberktest.Stream) error {
		md, _ := metadata.FromIncomingContext(ctx)
		arrived <- md
		return hauberktest.Echo(ctx, stream)
	}}
	s := record()
	c := hauberktest.Case{Side: hauberk.ClientSide}
	env := c.StartWith(t, backend, tracing.New(tracing.Config{}, s.option(), tracing.WithPropagator(upperCased{})))
	wantCode(t, env.Call(calling(t.Context(), "x-own", "stale", "x", "y")).Err, codes.OK)
	if got := (<-arrived).Get("x-own"); len(got) != 1 || got[0] != "1" { // the metadata has one other key
		t.Errorf("x-own is %q", got)
	}
}

// A panic of the propagator ends the call and the span.
func TestPropagatorThatPanics(t *testing.T) {
	s := record()
	chain := hauberk.Must(hauberk.New(tracing.New(tracing.Config{}, s.option(), tracing.WithPropagator(panickingPropagator{}))))
	func() {
		defer func() {
			if p := recover(); p != "ouch" {
				t.Errorf("panicked with %v", p)
			}
		}()
		_ = chain.UnaryClientInterceptor()(t.Context(), "/s/m", nil, nil, nil, answer)
	}()
	have(t, s.only(t).Attributes(), map[string]any{"rpc.response.status_code": "INTERNAL"})
}

type panickingPropagator struct{ propagation.TraceContext }

func (panickingPropagator) Inject(context.Context, propagation.TextMapCarrier) { panic("ouch") }

// With a no-op tracer provider the trace of the caller passes through.
func TestNoopProvider(t *testing.T) {
	hauberktest.CheckLeaks(t)
	interceptor := tracing.New(tracing.Config{}, tracing.WithTracerProvider(noop.NewTracerProvider()))
	var handlers trace.SpanContext
	env := hauberktest.Case{}.Start(t, interceptor,
		inside(func(ctx context.Context, _ *hauberk.Call) { handlers = trace.SpanContextFromContext(ctx) }))
	wantCode(t, env.Call(calling(t.Context(), "traceparent", sampled)).Err, codes.OK)
	env.Server.GracefulStop()
	if handlers.TraceID() != mustTraceID(t) {
		t.Errorf("the handler is in %v", handlers)
	}
}

// Without a span the application's traceparent is kept.
func TestTraceparentWithoutSpan(t *testing.T) {
	hauberktest.CheckLeaks(t)
	arrived := make(chan []string, 1)
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, stream hauberktest.Stream) error {
		arrived <- metadata.ValueFromIncomingContext(ctx, "traceparent")
		return hauberktest.Echo(ctx, stream)
	}}
	env := hauberktest.Case{Side: hauberk.ClientSide}.StartWith(t, backend,
		tracing.New(tracing.Config{}, tracing.WithTracerProvider(noop.NewTracerProvider())))
	wantCode(t, env.Call(calling(t.Context(), "traceparent", sampled, "x", "y")).Err, codes.OK)
	if got := <-arrived; len(got) != 1 || got[0] != sampled {
		t.Errorf("the server received %q", got)
	}
}

// A span of this process around a call on a server, such as that of an HTTP server, is the parent.
func TestLocalParent(t *testing.T) {
	hauberktest.CheckLeaks(t)
	s := record()
	outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		ctx, span := s.provider.Tracer("outer").Start(ctx, "outer")
		defer span.End()
		return next(ctx, call)
	})
	env := hauberktest.Case{}.Start(t, outer, tracing.New(tracing.Config{PublicEndpoint: true}, s.option()))
	wantCode(t, env.Call(calling(t.Context(), "traceparent", sampled)).Err, codes.OK)
	env.Server.GracefulStop()
	if len(s.Ended()) != 2 || parentOf(s.Ended()[0]) != s.Ended()[1].SpanContext().SpanID().String() {
		t.Errorf("%d spans; the parent is %s", len(s.Ended()), parentOf(s.Ended()[0]))
	}
}
