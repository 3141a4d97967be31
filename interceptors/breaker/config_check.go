package breaker

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/internal/engine/backoff"
	"github.com/hauberk-rpc/hauberk/internal/engine/breaker"
)

// hasRatios reports whether ratios open circuits.
func (c *Config) hasRatios() bool { return c.FailureRatio != 0 || c.SlowRatio != 0 }

// withDefaults replaces zero values by the defaults.
func (c *Config) withDefaults() {
	if !c.hasRatios() {
		c.FailureThreshold = cmp.Or(c.FailureThreshold, DefaultFailureThreshold)
	} else {
		if c.WindowCalls == 0 {
			c.WindowTime = cmp.Or(c.WindowTime, DefaultWindowTime)
		}
		usual := DefaultMinCalls
		if c.WindowCalls > 0 {
			usual = min(usual, c.WindowCalls)
		}
		c.MinCalls = cmp.Or(c.MinCalls, usual)
	}
	c.OpenFor = cmp.Or(c.OpenFor, DefaultOpenFor)
	c.OpenForMultiplier = cmp.Or(c.OpenForMultiplier, 1)
	if c.MaxOpenFor == 0 {
		if c.MaxOpenFor = 10 * c.OpenFor; c.OpenFor > math.MaxInt64/10 {
			c.MaxOpenFor = math.MaxInt64
		}
	}
	c.HalfOpenMaxCalls = cmp.Or(c.HalfOpenMaxCalls, DefaultHalfOpenMaxCalls)
	c.SuccessThreshold = cmp.Or(c.SuccessThreshold, DefaultSuccessThreshold)
	c.ProbeTimeout = cmp.Or(c.ProbeTimeout, c.OpenFor)
	c.EstablishedAfter = cmp.Or(c.EstablishedAfter, DefaultEstablishedAfter)
	c.MaxCircuits = cmp.Or(c.MaxCircuits, DefaultMaxCircuits)
	if c.FailureCodes == nil {
		c.FailureCodes = DefaultFailureCodes()
	}
}

// circuit returns the configuration of a circuit. c has its defaults.
func (c *Config) circuit() (breaker.Config, error) {
	engine := breaker.Config{
		FailureThreshold: c.FailureThreshold,
		OpenFor:          c.OpenFor,
		HalfOpenMaxCalls: c.HalfOpenMaxCalls,
		SuccessThreshold: c.SuccessThreshold,
		ProbeTimeout:     c.ProbeTimeout,
		EstablishedAfter: c.EstablishedAfter,
	}
	if c.hasRatios() {
		engine.Window = breaker.Window{
			Calls: c.WindowCalls, Time: c.WindowTime, MinCalls: c.MinCalls,
			FailureRatio: c.FailureRatio, SlowRatio: c.SlowRatio, SlowAfter: c.SlowAfter,
		}
	}
	if c.OpenForMultiplier != 1 || c.OpenForJitter != 0 {
		times, err := backoff.New(backoff.Config{
			Initial: c.OpenFor, Max: c.MaxOpenFor, Multiplier: c.OpenForMultiplier, Jitter: c.OpenForJitter,
		})
		if err != nil {
			return engine, err
		}
		engine.Growing = times.Delay
	}
	return engine, engine.Validate()
}

// checker collects what is wrong.
type checker struct{ errs []error }

func (k *checker) failf(format string, args ...any) {
	k.errs = append(k.errs, fmt.Errorf(format, args...))
}

// check returns everything that is wrong with a configuration as the caller has set it.
func (c *Config) check() error {
	var k checker
	if c.By > ByTarget {
		k.failf("By is %d; want ByService, ByMethod or ByTarget", c.By)
	}
	if err := c.Key.CheckCalls(); err != nil {
		k.failf("Key: %w", err)
	}
	if c.Key.IsPeer() {
		k.failf("Key is the peer, which a client does not know before the call; want another Key")
	}
	c.checkNumbers(&k)
	c.checkTimes(&k)
	c.checkRatios(&k)
	c.checkGrowth(&k)
	for _, code := range c.FailureCodes {
		if notAFailure(code) {
			k.failf("FailureCodes has %v; want codes of errors, except Canceled", code)
		}
	}
	return errors.Join(k.errs...)
}

func (c *Config) checkNumbers(k *checker) {
	for _, n := range []struct {
		name         string
		value, usual int
	}{
		{"FailureThreshold", c.FailureThreshold, DefaultFailureThreshold},
		{"HalfOpenMaxCalls", c.HalfOpenMaxCalls, DefaultHalfOpenMaxCalls},
		{"SuccessThreshold", c.SuccessThreshold, DefaultSuccessThreshold},
		{"MaxCircuits", c.MaxCircuits, DefaultMaxCircuits},
		{"MinCalls", c.MinCalls, DefaultMinCalls},
	} {
		if n.value < 0 {
			k.failf("%s is %d; want at least 1, or 0 for %d", n.name, n.value, n.usual)
		}
	}
}

func (c *Config) checkTimes(k *checker) {
	for _, d := range []struct {
		name  string
		value time.Duration
		usual any
	}{
		{"OpenFor", c.OpenFor, DefaultOpenFor},
		{"MaxOpenFor", c.MaxOpenFor, "ten times OpenFor"},
		{"ProbeTimeout", c.ProbeTimeout, "OpenFor"},
		{"EstablishedAfter", c.EstablishedAfter, DefaultEstablishedAfter},
		{"SlowAfter", c.SlowAfter, "none"},
	} {
		if d.value < 0 {
			k.failf("%s is %v; want more than 0, or 0 for %v", d.name, d.value, d.usual)
		}
	}
	if c.MinTimeout < 0 {
		k.failf("MinTimeout is %v; want more than 0, or 0 to count all", c.MinTimeout)
	}
}

func (c *Config) checkRatios(k *checker) {
	for _, r := range []struct {
		name  string
		value float64
	}{{"FailureRatio", c.FailureRatio}, {"SlowRatio", c.SlowRatio}} {
		if !(r.value >= 0 && r.value <= 1) {
			k.failf("%s is %v; want more than 0 and at most 1, or 0 for none", r.name, r.value)
		}
	}
	if (c.SlowRatio != 0) != (c.SlowAfter != 0) {
		k.failf("SlowRatio is %v and SlowAfter is %v; want both or none", c.SlowRatio, c.SlowAfter)
	}
	c.checkWindow(k)
}

func (c *Config) checkWindow(k *checker) {
	if c.WindowCalls < 0 || c.WindowCalls > MaxWindowCalls {
		k.failf("WindowCalls is %d; want 1 to %d, or 0 for a window of WindowTime", c.WindowCalls, MaxWindowCalls)
	}
	if c.WindowTime != 0 && (c.WindowTime < minWindowTime || c.WindowTime > MaxWindowTime) {
		k.failf("WindowTime is %v; want %v to %v, or 0 for %v",
			c.WindowTime, minWindowTime, MaxWindowTime, DefaultWindowTime)
	}
	if c.WindowCalls > 0 && c.WindowTime != 0 {
		k.failf("WindowCalls is %d and WindowTime is %v; want one of them", c.WindowCalls, c.WindowTime)
	}
	if c.WindowCalls > 0 && c.MinCalls > c.WindowCalls {
		k.failf("MinCalls is %d and WindowCalls is %d, so the ratios would never count; want at most WindowCalls",
			c.MinCalls, c.WindowCalls)
	}
	if !c.hasRatios() && c.SlowAfter == 0 && (c.MinCalls > 0 || c.WindowCalls > 0 || c.WindowTime > 0) {
		k.failf("MinCalls is %d, WindowCalls is %d and WindowTime is %v without a ratio; want one",
			c.MinCalls, c.WindowCalls, c.WindowTime)
	}
}

func (c *Config) checkGrowth(k *checker) {
	if m := c.OpenForMultiplier; m != 0 && !(m >= 1 && m <= math.MaxFloat64) {
		k.failf("OpenForMultiplier is %v; want a number of at least 1, or 0 for 1", m)
	}
	if !(c.OpenForJitter >= 0 && c.OpenForJitter <= 1) {
		k.failf("OpenForJitter is %v; want 0 to 1", c.OpenForJitter)
	}
	if c.MaxOpenFor > 0 && (c.OpenForMultiplier == 0 || c.OpenForMultiplier == 1) {
		k.failf("MaxOpenFor is %v without OpenForMultiplier; want a multiplier above 1 with it", c.MaxOpenFor)
	}
	if openFor := cmp.Or(c.OpenFor, DefaultOpenFor); c.MaxOpenFor > 0 && c.MaxOpenFor < openFor {
		k.failf("MaxOpenFor is %v and OpenFor is %v; want MaxOpenFor of at least OpenFor", c.MaxOpenFor, openFor)
	}
}

func notAFailure(code codes.Code) bool {
	return code == codes.OK || code == codes.Canceled || code > codes.Unauthenticated
}
