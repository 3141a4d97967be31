package retry

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
)

// The defaults of [Config].
const (
	DefaultMaxAttempts    = 3
	DefaultInitialBackoff = 100 * time.Millisecond
	DefaultMaxBackoff     = 5 * time.Second
	DefaultMultiplier     = 2
	DefaultJitter         = 0.2
	DefaultMaxServerDelay = 5 * time.Second
)

// Config configures an [Interceptor]. The zero value makes up to three attempts of calls
// that fail with UNAVAILABLE, if their method is marked as idempotent.
type Config struct {
	// Methods are patterns of methods that are retried as well as those marked as
	// idempotent, in the form that hauberk.For takes, such as "shop.v1.Cart/Get" or
	// "shop.v1.Cart/*". The default is none.
	Methods []string
	// AllMethods retries all methods, also those that may have taken effect before they
	// failed.
	AllMethods bool
	// RetryAfterHeader also retries attempts whose response header has arrived, as long as
	// the application has not received it or a message. This is not in accordance with
	// gRFC A6. It is for servers that send a header with every failed call, such as those
	// that return a request id in it.
	RetryAfterHeader bool
	// MaxAttempts is the greatest number of attempts of a call, the first one included;
	// 1 turns retries off. The default is DefaultMaxAttempts.
	MaxAttempts int
	// RetryableStatusCodes are the codes of attempts that are retried. nil is UNAVAILABLE
	// alone; an empty slice is none.
	RetryableStatusCodes []codes.Code
	// InitialBackoff is the wait after the first attempt. BackoffMultiplier multiplies it
	// for each later attempt, up to MaxBackoff; below 1 the waits shrink. The defaults are DefaultInitialBackoff,
	// DefaultMultiplier and DefaultMaxBackoff, or InitialBackoff if that is longer.
	InitialBackoff    time.Duration
	MaxBackoff        time.Duration
	BackoffMultiplier float64
	// Jitter randomizes each backoff by up to ± this fraction, from 0 to 1. The default
	// is DefaultJitter; NoJitter turns it off.
	Jitter   float64
	NoJitter bool
	// FullJitter waits for a random time from 0 up to the backoff instead. It spreads the
	// retries of calls that failed at the same moment best, and some of them come at once.
	FullJitter bool
	// MaxServerDelay is the longest wait that a server can ask for, by
	// grpc-retry-pushback-ms or google.rpc.RetryInfo. If it asks for more, the call ends
	// at once. Jitter is added. The default is DefaultMaxServerDelay.
	MaxServerDelay time.Duration
	// PerAttemptTimeout bounds each attempt. An attempt that exceeds it ends with
	// DEADLINE_EXCEEDED for inner interceptors too, and is retried while the caller's own
	// deadline has not passed and no response header has arrived. A DEADLINE_EXCEEDED that the
	// server returns earlier is retried only if it is in RetryableStatusCodes. The default 0
	// is no bound.
	//
	// A unary attempt is bounded until its end, and its server receives the earlier of
	// the two deadlines. The attempt of a stream is bounded until the response header
	// arrives, or its requests are no longer kept, since they exceed MaxReplayBytes or
	// retries are turned off. Both commit it (gRFC A6): then only the caller's own deadline
	// counts. The server of a stream receives the caller's deadline. Otherwise the last
	// attempt of a call, which can be the only one, is bounded as the others.
	PerAttemptTimeout time.Duration
	// MaxReplayBytes bounds the requests of a client stream that are kept for a new
	// attempt, in bytes as protobuf encodes them, with 64 more for each message. A call
	// that sends more is not retried. The default 0 keeps nothing: calls of methods with
	// client streaming pass unchanged.
	MaxReplayBytes int
	// NoBudget makes retries without a budget: all failed calls are retried, up to
	// MaxAttempts.
	NoBudget bool
	// NoCallerPushback does not ask the client of an incoming call not to retry it: see the
	// section Layers of the package.
	NoCallerPushback bool
}

func (c Config) withDefaults() Config {
	if c.MaxAttempts == 0 {
		c.MaxAttempts = DefaultMaxAttempts
	}
	if c.InitialBackoff == 0 {
		c.InitialBackoff = DefaultInitialBackoff
	}
	if c.MaxBackoff == 0 {
		c.MaxBackoff = max(DefaultMaxBackoff, c.InitialBackoff)
	}
	if c.BackoffMultiplier == 0 {
		c.BackoffMultiplier = DefaultMultiplier
	}
	if c.Jitter == 0 && !c.NoJitter && !c.FullJitter {
		c.Jitter = DefaultJitter
	}
	if c.MaxServerDelay == 0 {
		c.MaxServerDelay = DefaultMaxServerDelay
	}
	if c.RetryableStatusCodes == nil {
		c.RetryableStatusCodes = []codes.Code{codes.Unavailable}
	}
	c.RetryableStatusCodes = slices.Clone(c.RetryableStatusCodes)
	return c
}

// check returns everything that is wrong with a configuration that has its defaults,
// except for Methods.
func (c Config) check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.MaxAttempts < 1 {
		fail("MaxAttempts is %d; want at least 1", c.MaxAttempts)
	}
	if c.MaxServerDelay < 0 {
		fail("MaxServerDelay is %v; want more than 0, or 0 for %v", c.MaxServerDelay, DefaultMaxServerDelay)
	}
	if c.PerAttemptTimeout < 0 {
		fail("PerAttemptTimeout is %v; want more than 0, or 0 for no bound", c.PerAttemptTimeout)
	}
	if c.MaxReplayBytes < 0 {
		fail("MaxReplayBytes is %d; want at least 0", c.MaxReplayBytes)
	}
	errs = append(errs, checkCodes(c.RetryableStatusCodes)...)
	return errors.Join(append(errs, c.checkBackoff())...)
}

func checkCodes(list []codes.Code) (errs []error) {
	for _, code := range list {
		if code == codes.OK || code > codes.Unauthenticated {
			errs = append(errs, fmt.Errorf("RetryableStatusCodes has %v; want codes of errors", code))
		}
	}
	return errs
}

// checkBackoff returns everything that is wrong with the waits.
func (c Config) checkBackoff() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.InitialBackoff < 0 {
		fail("InitialBackoff is %v; want more than 0, or 0 for %v", c.InitialBackoff, DefaultInitialBackoff)
	}
	switch {
	case c.MaxBackoff < 0:
		fail("MaxBackoff is %v; want more than 0, or 0 for the default", c.MaxBackoff)
	case c.MaxBackoff < c.InitialBackoff:
		fail("MaxBackoff is %v, below InitialBackoff, %v; want at least that", c.MaxBackoff, c.InitialBackoff)
	}
	if !within(c.BackoffMultiplier, math.SmallestNonzeroFloat64, math.MaxFloat64) {
		fail("BackoffMultiplier is %v; want a number above 0, or 0 for %d",
			c.BackoffMultiplier, DefaultMultiplier)
	}
	if !within(c.Jitter, 0, 1) {
		fail("Jitter is %v; want 0 to 1", c.Jitter)
	}
	if moreThanOne(c.Jitter != 0, c.NoJitter, c.FullJitter) {
		fail("Jitter is %v, NoJitter %t, FullJitter %t; want one of them", c.Jitter, c.NoJitter, c.FullJitter)
	}
	return errors.Join(errs...)
}

func moreThanOne(set ...bool) bool {
	n := 0
	for _, s := range set {
		if s {
			n++
		}
	}
	return n > 1
}

// within reports whether least <= x <= most. It returns false for NaN.
func within(x, least, most float64) bool { return x >= least && x <= most }
