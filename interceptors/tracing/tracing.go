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

// ScopeName is the name of the instrumentation scope of the spans. The version of the scope is that of
// the Hauberk module in the program.
const ScopeName = "github.com/hauberk-rpc/hauberk/interceptors/tracing"

// Interceptor makes spans. Make it with [New]. It is safe for concurrent use by any number of chains,
// on both sides.
type Interceptor struct {
	config     Config
	err        error
	provider   trace.TracerProvider
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	fields     []string // headers that inject replaces, without baggage
	newTrace   func(call *hauberk.Call) bool
	elapsed    func() time.Duration // since an arbitrary time
	limit      *gcra.Limit          // of forced samples; nil for no bound
	forced     gcra.Bucket
	methods    [2]table   // by hauberk.Side
	first      sync.Mutex // serializes setting the record of a call on a client
}

// New returns an interceptor for both sides. hauberk.New reports errors in its configuration.
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

// replaced returns the headers of a propagator that inject removes from the application's metadata.
// Baggage is not among them: the application's header is kept if its context has no baggage.
func replaced(p propagation.TextMapPropagator) []string {
	fields := slices.Clone(p.Fields())
	for i, f := range fields {
		fields[i] = strings.ToLower(f)
	}
	return slices.DeleteFunc(fields, func(f string) bool { return f == headerBaggage })
}

// Declare returns the interceptor's name, its phase, its state and the errors in its configuration.
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

// Register adds methods that the server does not know, so that their spans have their names. It is for
// proxies, whose servers do not know any method:
//
//	spans.Register(srv.GetServiceInfo())
//
// A server knows its registered services without it.
func (t *Interceptor) Register(services map[string]grpc.ServiceInfo) {
	for service, info := range services {
		for _, method := range info.Methods {
			t.methods[hauberk.ServerSide].register("/" + service + "/" + method.Name)
		}
	}
}

// Intercept makes a span of the call or, inside retries, of the attempt.
func (t *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return t.trace(ctx, call, next, false)
}

// Attempts returns an interceptor that makes a span of each attempt on a client. Place it inside
// retries or hedging. If t is outside the retries, the spans are children of the call's span. On a
// server it does nothing.
func (t *Interceptor) Attempts() hauberk.Interceptor { return attempts{t} }

type attempts struct{ tracing *Interceptor }

// Declare is like [Interceptor.Declare], with another name.
func (a attempts) Declare() hauberk.Declaration {
	d := a.tracing.Declare()
	d.Name = "tracing attempts"
	return d
}

// Intercept makes a span of an attempt.
func (a attempts) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if call.Side() == hauberk.ServerSide {
		return next(ctx, call)
	}
	return a.tracing.trace(ctx, call, next, true)
}

func (t *Interceptor) trace(ctx context.Context, call *hauberk.Call, next hauberk.Next, attempt bool) error {
	ctx, s := t.start(ctx, call, attempt)
	// inject runs inside Observe: the propagator may panic.
	injecting := func(ctx context.Context, call *hauberk.Call) error {
		if call.Side() == hauberk.ClientSide {
			ctx = t.inject(ctx, s.SpanContext())
		}
		return next(ctx, call)
	}
	return hauberk.Observe(ctx, call, injecting, func(err error) { s.end(call, err) })
}
