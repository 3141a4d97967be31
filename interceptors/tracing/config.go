package tracing

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/engine/gcra"
)

// Defaults of [Config]. Those of tracestate and baggage are the minimum that the W3C's Trace Context
// (section 3.3.1.5) and Baggage (section 3.3.2) require to propagate.
const (
	DefaultMaxTraceState     = 512
	DefaultMaxBaggageBytes   = 8192
	DefaultMaxBaggageMembers = 64
	DefaultMaxMethods        = 1024
	maxForcedSamples         = 1_000_000
	maxOtherHeader           = 8192 // bytes of a header of a custom propagator
	maxName                  = 256  // bytes of the name of a method, an interceptor or a rule
	maxReason                = 63   // bytes of a reason, as in google.rpc.ErrorInfo
	maxDescription           = 1024 // bytes of the description of a status
	maxDecisions             = 64   // events of a span
	maxPlaces                = 16   // addresses or targets with cached attributes for each method
)

// Config configures an [Interceptor]. The zero value is ready for use between the services of one
// system. The package documentation describes the settings for servers with untrusted callers.
type Config struct {
	// PublicEndpoint starts a new trace for each call on a server, with a link to the
	// caller's span. The sampler of this process decides whether it is sampled. It is for
	// servers with untrusted callers, which set NoBaggage too: the baggage of the caller is
	// accepted otherwise.
	PublicEndpoint bool
	// NewTraceKinds contains the kinds of methods whose calls on a server start a new trace
	// with a link to the caller's span. It is for streams that stay open for a long time and
	// would keep the caller's trace open.
	NewTraceKinds []hauberk.Kind
	// MaxForcedSamples is the maximum number of calls per second, and in one burst, whose
	// sampled flag from the caller is accepted. Beyond it the flag is cleared, and a sampler
	// that follows the parent drops the span. 0 means no bound.
	MaxForcedSamples int
	// NoBaggage drops the baggage of calls on a server, with any propagator.
	NoBaggage bool
	// MaxTraceState is the maximum number of bytes of a caller's tracestate. If it is longer,
	// list members of more than 128 bytes are removed first, then those at the end. The
	// default is DefaultMaxTraceState.
	MaxTraceState int
	// MaxBaggageBytes and MaxBaggageMembers bound a caller's baggage. Baggage with more bytes
	// is dropped. Of baggage with more members those at the end are dropped. The defaults,
	// DefaultMaxBaggageBytes and DefaultMaxBaggageMembers, are also the maximum values.
	MaxBaggageBytes   int
	MaxBaggageMembers int
	// MaxMethods is the maximum number of method names of clients. Spans of further methods
	// are named like those of unknown methods on a server. The default is
	// DefaultMaxMethods.
	MaxMethods int
	// MessageEvents adds an event for each message sent and received.
	MessageEvents bool
	// ClientPeer adds the server's address (network.peer.address and network.peer.port) to
	// spans of clients. It costs some allocations per call.
	ClientPeer bool
}

// withDefaults returns the configuration with defaults in place of unset and invalid values,
// and an error for the invalid ones.
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
			errs = append(errs, fmt.Errorf("NewTraceKinds contains %d; want hauberk.Unary to hauberk.Bidi", kind))
		}
	}
	c.NewTraceKinds = slices.Clone(c.NewTraceKinds)
	return c, errors.Join(errs...)
}

// forcedLimit returns the limit for MaxForcedSamples, or nil if there is no bound.
func (c Config) forcedLimit() (*gcra.Limit, error) {
	if c.MaxForcedSamples == 0 {
		return nil, nil //nolint:nilnil // nil means no limit
	}
	return gcra.New(c.MaxForcedSamples, time.Second, c.MaxForcedSamples)
}
