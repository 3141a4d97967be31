package tracing

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/clock"
	"github.com/hauberk-rpc/hauberk/internal/engine/gcra"
)

// Defaults of [Config]. Those of tracestate and baggage are what the W3C's Trace
// Context (section 3.3.1.5) and Baggage (section 3.3.2) ask to be propagated.
const (
	DefaultMaxTraceState     = 512
	DefaultMaxBaggageBytes   = 8192
	DefaultMaxBaggageMembers = 64
	DefaultMaxMethods        = 1024
	maxForcedSamples         = 1_000_000
	maxOtherHeader           = 8192 // bytes of a header that only a propagator of the program's own knows
	maxName                  = 256  // bytes of a method's name, and of an interceptor's or a rule's
	maxReason                = 63   // bytes of a reason, as in google.rpc.ErrorInfo
	maxDescription           = 1024 // bytes of a status' description
	maxDecisions             = 64   // events of a span
	maxPlaces                = 16   // addresses or targets for which a method's attributes are kept
)

// Config says what is traced, and how far callers are trusted. The zero value is
// ready for use between services of one system; see the package's documentation
// for servers that strangers can reach.
type Config struct {
	// PublicEndpoint says that strangers call: each call on a server starts a trace
	// of its own, sampled as this process decides, with an interceptor to the span that the
	// caller named.
	PublicEndpoint bool
	// NewTraceKinds are the kinds of methods whose calls on a server start a trace
	// of their own, likewise: streams that stay open for long would hold the caller's
	// trace open.
	NewTraceKinds []hauberk.Kind
	// MaxForcedSamples is how many calls a second, and at once, are sampled because
	// their callers say so. Beyond it a caller's sampled flag is not believed, and a
	// sampler that follows the parent drops the span. 0 is no bound.
	MaxForcedSamples int
	// NoBaggage drops the baggage that comes with calls on a server, under any
	// propagator.
	NoBaggage bool
	// MaxTraceState is how many bytes of a caller's tracestate are taken over: list
	// members of more than 128 bytes go first, then those at the end. The default is
	// DefaultMaxTraceState.
	MaxTraceState int
	// MaxBaggageBytes and MaxBaggageMembers bound a caller's baggage: with more bytes
	// all of it is dropped, with more members those at the end. The defaults are
	// DefaultMaxBaggageBytes and DefaultMaxBaggageMembers, and more cannot be had.
	MaxBaggageBytes   int
	MaxBaggageMembers int
	// MaxMethods is how many methods a client gives spans of their own names. Calls
	// of further ones are called as those of unknown methods are on a server. The
	// default is DefaultMaxMethods.
	MaxMethods int
	// MessageEvents adds an event for each message sent and received.
	MessageEvents bool
	// ClientPeer adds the server's address to spans of clients (network.peer.address
	// and network.peer.port), which costs a call some allocations.
	ClientPeer bool
}

// withDefaults fills what is not set, and says what is wrong. What it returns can
// be used in any case.
func (c Config) withDefaults() (Config, error) {
	errs := make([]error, 0, 8)
	atMost := func(name string, value *int, otherwise, most int) {
		if *value < 0 || *value > most {
			errs = append(errs, fmt.Errorf("%s is %d; want 1 to %d, or 0 for %d", name, *value, most, otherwise))
		}
		if *value <= 0 || *value > most {
			*value = otherwise
		}
	}
	atMost("MaxTraceState", &c.MaxTraceState, DefaultMaxTraceState, maxOtherHeader)
	atMost("MaxBaggageBytes", &c.MaxBaggageBytes, DefaultMaxBaggageBytes, DefaultMaxBaggageBytes)
	atMost("MaxBaggageMembers", &c.MaxBaggageMembers, DefaultMaxBaggageMembers, DefaultMaxBaggageMembers)
	atMost("MaxMethods", &c.MaxMethods, DefaultMaxMethods, 1<<20)
	if c.MaxForcedSamples < 0 || c.MaxForcedSamples > maxForcedSamples {
		errs = append(errs, fmt.Errorf("MaxForcedSamples is %d; want 1 to %d a second, or 0 for no bound",
			c.MaxForcedSamples, maxForcedSamples))
		c.MaxForcedSamples = 0
	}
	for _, kind := range c.NewTraceKinds {
		if kind > hauberk.Bidi {
			errs = append(errs, fmt.Errorf("NewTraceKinds has the kind %d; want hauberk.Unary to hauberk.Bidi", kind))
		}
	}
	c.NewTraceKinds = slices.Clone(c.NewTraceKinds)
	return c, errors.Join(errs...)
}

// forcedLimit is the limit that MaxForcedSamples stands for, or nil.
func (c Config) forcedLimit() (*gcra.Limit, error) {
	if c.MaxForcedSamples == 0 {
		return nil, nil //nolint:nilnil // no limit is a fine one
	}
	return gcra.New(c.MaxForcedSamples, time.Second, c.MaxForcedSamples)
}

// Option changes what a [Interceptor] depends on.
type Option interface{ apply(t *Interceptor) }

type option func(t *Interceptor)

func (f option) apply(t *Interceptor) { f(t) }

// WithTracerProvider has spans made by provider. The default is OpenTelemetry's
// global one, also if that is set later.
func WithTracerProvider(provider trace.TracerProvider) Option {
	return option(func(t *Interceptor) {
		if provider == nil {
			t.wrong("WithTracerProvider was given a nil provider")
			return
		}
		t.provider = provider
	})
}

// WithPropagator has the trace and the baggage travel in propagator's form. The
// default is that of W3C Trace Context and Baggage, whatever OpenTelemetry's global
// one is. The bounds of [Config] hold for the headers tracestate and baggage under
// any propagator.
func WithPropagator(propagator propagation.TextMapPropagator) Option {
	return option(func(t *Interceptor) {
		if propagator == nil {
			t.wrong("WithPropagator was given a nil propagator")
			return
		}
		t.propagator = propagator
	})
}

// WithNewTrace has calls on a server for which f is true start a trace of their
// own, besides those that [Config] says. f must be safe for concurrent use.
func WithNewTrace(f func(call *hauberk.Call) bool) Option {
	return option(func(t *Interceptor) {
		if f == nil {
			t.wrong("WithNewTrace was given a nil function")
			return
		}
		t.newTrace = f
	})
}

// WithClock has the time that MaxForcedSamples needs told by now in place of
// time.Now. It must be safe for concurrent use. The times of spans are the tracer
// provider's.
func WithClock(now func() time.Time) Option {
	return option(func(t *Interceptor) {
		if now == nil {
			t.wrong("WithClock was given a nil function")
			return
		}
		t.elapsed = clock.Elapsed(now)
	})
}

func (t *Interceptor) wrong(what string) { t.err = errors.Join(t.err, errors.New(what)) }
