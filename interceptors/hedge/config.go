package hedge

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/internal/engine/quantile"
)

// The defaults of [Config].
const (
	DefaultMaxAttempts    = 2
	DefaultDelay          = 100 * time.Millisecond
	DefaultMinDelay       = time.Millisecond
	DefaultMaxDelay       = 10 * time.Second
	DefaultMinSamples     = 100
	DefaultWindow         = time.Minute
	DefaultMaxServerDelay = 5 * time.Second
)

const (
	// maxAttempts is the greatest MaxAttempts, that of gRFC A6.
	maxAttempts = 5
	// maxWindow is the greatest Window.
	maxWindow = 24 * time.Hour
	// maxMethods is the number of methods with a live quantile. Each takes up to 14 KB.
	maxMethods = 256
)

// Config configures an [Interceptor]. The zero value makes a second attempt of calls that
// have no outcome after 100 ms, or fail with UNAVAILABLE before, if their method is marked as
// idempotent.
type Config struct {
	// Methods are patterns of methods that are hedged as well as those marked as idempotent,
	// in the form that hauberk.For takes, such as "shop.v1.Cart/Get" or "shop.v1.Cart/*".
	// The default is none. Methods that stream their requests are not hedged.
	Methods []string
	// AllMethods hedges all methods without a stream of requests, also those that may take
	// effect twice.
	AllMethods bool
	// MaxAttempts is the greatest number of attempts of a call, the first one included: 1 to
	// 5, as in gRFC A6; 1 turns hedging off. The default is DefaultMaxAttempts.
	MaxAttempts int
	// Delay is the time between the start of an attempt and that of the next one. The default
	// is DefaultDelay. NoDelay starts all attempts at once, as a hedgingDelay of 0 does in
	// gRFC A6.
	Delay   time.Duration
	NoDelay bool
	// DelayQuantile makes the delay that quantile of the method's recent latency, such as
	// 0.95. It is more than 0 and less than 1. The default 0 uses Delay. See
	// [Interceptor.Delays] for what is measured.
	//
	// MinDelay and MaxDelay bound that delay. The defaults are DefaultMinDelay and
	// DefaultMaxDelay, or MinDelay if that is longer. MinSamples is the number of calls of a
	// method from which on its latency counts; Delay is used before that. The default is
	// DefaultMinSamples. A call counts for one to two Windows, by default DefaultWindow and at
	// most 24 h. The latency of the 256 methods that were called last is kept, in up to 14 KB
	// each.
	DelayQuantile      float64
	MinDelay, MaxDelay time.Duration
	MinSamples         int
	Window             time.Duration
	// NonFatalStatusCodes are the codes of failed attempts that start the next one at once.
	// All others end the call. nil is UNAVAILABLE alone; an empty slice is none, the default
	// of gRFC A6.
	NonFatalStatusCodes []codes.Code
	// MaxServerDelay is the longest time by which a server can postpone the next attempt, by
	// grpc-retry-pushback-ms or google.rpc.RetryInfo. If it asks for more, no further attempt
	// starts. The default is DefaultMaxServerDelay.
	MaxServerDelay time.Duration
	// NoCallerPushback leaves the response of a handler alone. By default the call of a handler
	// that fails with a non-fatal code adds the trailer grpc-retry-pushback-ms with -1 to the
	// response of the handler, so that its client does not attempt the incoming call again: the
	// attempts of several layers would multiply.
	NoCallerPushback bool
	// NoBudget allows hedges without a budget. By default an interceptor has its own, with
	// the defaults of retrybudget.Config.
	NoBudget bool
}

func (c Config) withDefaults() Config {
	if c.MaxAttempts == 0 {
		c.MaxAttempts = DefaultMaxAttempts
	}
	setDefault(&c.Delay, DefaultDelay)
	setDefault(&c.MinDelay, DefaultMinDelay)
	setDefault(&c.MaxDelay, max(DefaultMaxDelay, c.MinDelay))
	setDefault(&c.Window, DefaultWindow)
	setDefault(&c.MaxServerDelay, DefaultMaxServerDelay)
	if c.MinSamples == 0 {
		c.MinSamples = DefaultMinSamples
	}
	if c.NonFatalStatusCodes == nil {
		c.NonFatalStatusCodes = []codes.Code{codes.Unavailable}
	}
	c.NonFatalStatusCodes = slices.Clone(c.NonFatalStatusCodes)
	return c
}

func setDefault(d *time.Duration, otherwise time.Duration) {
	if *d == 0 {
		*d = otherwise
	}
}

// check returns everything that is wrong with a configuration, except for Methods. given is
// the configuration without its defaults.
func (c Config) check(given Config) error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.MaxAttempts < 1 || c.MaxAttempts > maxAttempts {
		fail("MaxAttempts is %d; want 1 to %d", c.MaxAttempts, maxAttempts)
	}
	switch {
	case c.Delay < 0:
		fail("Delay is %v; want more than 0, or 0 for %v; NoDelay starts all attempts at once", c.Delay, DefaultDelay)
	case given.NoDelay && (given.Delay != 0 || given.DelayQuantile != 0):
		fail("NoDelay is set, and so is Delay or DelayQuantile; want one of them")
	}
	if c.MaxServerDelay < 0 {
		fail("MaxServerDelay is %v; want more than 0, or 0 for %v", c.MaxServerDelay, DefaultMaxServerDelay)
	}
	for _, code := range c.NonFatalStatusCodes {
		if code == codes.OK || code > codes.Unauthenticated {
			fail("NonFatalStatusCodes has %v; want codes of errors", code)
		}
	}
	return errors.Join(append(errs, c.checkQuantile(given))...)
}

// checkQuantile returns everything that is wrong with the live quantile.
func (c Config) checkQuantile(given Config) error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.DelayQuantile == 0 {
		if given.MinDelay != 0 || given.MaxDelay != 0 || given.MinSamples != 0 || given.Window != 0 {
			fail("MinDelay, MaxDelay, MinSamples or Window is set without DelayQuantile, and would have no effect")
		}
		return errors.Join(errs...)
	}
	if !(c.DelayQuantile > 0 && c.DelayQuantile < 1) { // also NaN
		fail("DelayQuantile is %v; want more than 0 and less than 1, or 0 for the fixed Delay", c.DelayQuantile)
	}
	if c.MinDelay < 0 {
		fail("MinDelay is %v; want more than 0, or 0 for %v", c.MinDelay, DefaultMinDelay)
	}
	switch {
	case c.MaxDelay < 0:
		fail("MaxDelay is %v; want more than 0, or 0 for the default", c.MaxDelay)
	case c.MaxDelay < c.MinDelay:
		fail("MaxDelay is %v, below MinDelay, %v; want at least that", c.MaxDelay, c.MinDelay)
	}
	if c.MinSamples < 1 {
		fail("MinSamples is %d; want at least 1, or 0 for %d", c.MinSamples, DefaultMinSamples)
	}
	if c.Window < time.Millisecond || c.Window > maxWindow {
		fail("Window is %v; want 1ms to %v, or 0 for %v", c.Window, maxWindow, DefaultWindow)
	}
	return errors.Join(errs...)
}

// live returns the configuration of a live quantile.
func (c Config) live() quantile.LiveConfig {
	return quantile.LiveConfig{Quantile: c.DelayQuantile, Window: c.Window, Least: c.MinSamples}
}
