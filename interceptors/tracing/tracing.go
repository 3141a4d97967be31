package tracing

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/buildversion"
	"github.com/hauberk-rpc/hauberk/internal/clock"
	"github.com/hauberk-rpc/hauberk/internal/engine/gcra"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// ScopeName is the name of the instrumentation scope of the spans. Its version is that
// of the Hauberk module that the program was built with.
const ScopeName = "github.com/hauberk-rpc/hauberk/interceptors/tracing"

// Tracing is the interceptor. Make it with [New]. It is safe for concurrent use by
// any number of chains, on both sides.
type Interceptor struct {
	config     Config
	err        error
	provider   trace.TracerProvider
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	fields     []string // that Inject replaces, without baggage
	newTrace   func(call *hauberk.Call) bool
	elapsed    func() time.Duration // since some moment
	limit      *gcra.Limit          // of forced samples; nil for none
	forced     gcra.Bucket
	methods    [2]table   // by hauberk.Side
	first      sync.Mutex // held while a call on a client gets its record
}

// New returns an interceptor for both sides. What is wrong with its configuration
// is reported by hauberk.New.
func New(config Config, opts ...Option) *Interceptor {
	t := &Interceptor{propagator: w3c{}, elapsed: clock.Elapsed(nil)}
	t.config, t.err = config.withDefaults()
	nils := options.Apply(opts, func(o Option) { o.apply(t) })
	if t.provider == nil {
		t.provider = otel.GetTracerProvider()
	}
	t.tracer = t.provider.Tracer(ScopeName, trace.WithSchemaURL(semconv.SchemaURL),
		trace.WithInstrumentationVersion(buildversion.Hauberk()))
	limit, err := t.config.forcedLimit()
	t.limit, t.err = limit, errors.Join(t.err, err, nils)
	t.fields = replaced(t.propagator)
	for side := range t.methods {
		t.methods[side].init(hauberk.Side(side), t.config.MaxMethods)
	}
	return t
}

// replaced returns the keys of a propagator that a call on a client must not have
// from the application besides. Baggage that the application put there itself stays
// where its context has none.
func replaced(p propagation.TextMapPropagator) []string {
	fields := slices.Clone(p.Fields())
	for i, f := range fields {
		fields[i] = strings.ToLower(f)
	}
	return slices.DeleteFunc(fields, func(f string) bool { return f == headerBaggage })
}

// Declare says where the interceptor stands, and what is wrong with its
// configuration.
func (t *Interceptor) Declare() hauberk.Declaration {
	d := hauberk.Declaration{
		Name: "tracing", Phase: hauberk.PhaseTracing, Writes: []hauberk.StateKey{stateKey}, Err: t.err,
		Repeatable: true, // inside a retry it makes spans of attempts
	}
	if t.tracer == nil {
		d.Err = errors.New("a zero Interceptor; make it with tracing.New")
	}
	return d
}

// Register makes the methods of services known that the server itself does not
// know, as none is to a proxy, so that spans have their names:
//
//	spans.Register(srv.GetServiceInfo())
//
// What a server has registered it knows without that.
func (t *Interceptor) Register(services map[string]grpc.ServiceInfo) {
	for service, info := range services {
		for _, method := range info.Methods {
			t.methods[hauberk.ServerSide].register("/" + service + "/" + method.Name)
		}
	}
}

// Intercept traces the call, or inside retries the attempt.
func (t *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return t.trace(ctx, call, next, false)
}

// Attempts returns an interceptor for the place inside retries or hedging on a
// client, where it makes a span of each attempt, a child of the call's if t stands
// outside of the retries too. On a server it does nothing.
func (t *Interceptor) Attempts() hauberk.Interceptor { return attempts{t} }

type attempts struct{ tracing *Interceptor }

// Declare says what that of [Interceptor] does.
func (a attempts) Declare() hauberk.Declaration {
	d := a.tracing.Declare()
	d.Name = "tracing of attempts"
	return d
}

// Intercept traces an attempt.
func (a attempts) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if call.Side() == hauberk.ServerSide {
		return next(ctx, call)
	}
	return a.tracing.trace(ctx, call, next, true)
}

func (t *Interceptor) trace(ctx context.Context, call *hauberk.Call, next hauberk.Next, attempt bool) error {
	ctx, s := t.start(ctx, call, attempt)
	// inject runs a propagator, which may panic too.
	injecting := func(ctx context.Context, call *hauberk.Call) error {
		if call.Side() == hauberk.ClientSide {
			ctx = t.inject(ctx, s.SpanContext())
		}
		return next(ctx, call)
	}
	return hauberk.Observe(ctx, call, injecting, func(err error) { s.end(call, err) })
}
