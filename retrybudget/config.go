package retrybudget

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// The defaults of [Config].
const (
	DefaultRatio        = 0.2
	DefaultReserve      = 10
	DefaultWindow       = 10 * time.Second
	DefaultFailureRatio = 0.8
	DefaultTokenRatio   = 0.1
)

// The greatest values of [Config].
const (
	MaxReserve = 1_000_000
	MaxWindow  = 24 * time.Hour
	MaxTokens  = 1000 // gRFC A6
)

// Config configures a [Budget]. The zero value allows one extra attempt for five calls.
type Config struct {
	// Ratio is the number of extra attempts for each call, up to 1, rounded to millionths.
	// The default is DefaultRatio. NoRatio turns off Ratio, Reserve, Window and FailureRatio, so
	// that only MaxTokens bounds the extra attempts.
	Ratio   float64
	NoRatio bool
	// Reserve is the number of extra attempts that are available before the first call. Later
	// calls restore those that were taken. The default is DefaultReserve; NoReserve is none.
	Reserve   int
	NoReserve bool
	// Window is the time in which extra attempts are compared with calls, from 1 ms to
	// MaxWindow. The default is DefaultWindow.
	Window time.Duration
	// FailureRatio stops extra attempts while there are more failures for each call than this, in
	// the last one to two tenths of Window: up to 1, rounded to millionths. Each failed attempt
	// counts: see Budget.Failure. Up to 20 failures are always tolerated. The default is
	// DefaultFailureRatio; NoFailureRatio turns it off.
	FailureRatio   float64
	NoFailureRatio bool
	// MaxTokens is maxTokens of retryThrottling in gRFC A6, up to 1000. The default 0 turns
	// the tokens off.
	MaxTokens int
	// TokenRatio is tokenRatio of retryThrottling in gRFC A6, rounded to thousandths. The
	// default is DefaultTokenRatio.
	TokenRatio float64
}

func (c Config) withDefaults() Config {
	if c.Ratio == 0 && !c.NoRatio {
		c.Ratio = DefaultRatio
	}
	if c.Reserve == 0 && !c.NoReserve && !c.NoRatio {
		c.Reserve = DefaultReserve
	}
	if c.Window == 0 && !c.NoRatio {
		c.Window = DefaultWindow
	}
	if c.FailureRatio == 0 && !c.NoFailureRatio && !c.NoRatio {
		c.FailureRatio = DefaultFailureRatio
	}
	if c.TokenRatio == 0 && c.MaxTokens != 0 {
		c.TokenRatio = DefaultTokenRatio
	}
	return c
}

// check returns everything that is wrong with a configuration that has its defaults.
func (c Config) check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf("retrybudget: "+format, args...)) }
	if c.NoRatio {
		errs = append(errs, c.checkNoRatio())
	} else {
		errs = append(errs, c.checkRatio())
	}
	if c.MaxTokens < 0 || c.MaxTokens > MaxTokens {
		fail("MaxTokens is %d; want 1 to %d, or 0 for no tokens", c.MaxTokens, MaxTokens)
	}
	switch {
	case c.MaxTokens == 0 && c.TokenRatio != 0:
		fail("TokenRatio is %v without MaxTokens; want both or neither", c.TokenRatio)
	case c.MaxTokens != 0 && !within(c.TokenRatio, 1/float64(tokenParts), MaxTokens):
		fail("TokenRatio is %v; want 0.001 to %d, or 0 for %v", c.TokenRatio, MaxTokens, DefaultTokenRatio)
	}
	return errors.Join(errs...)
}

func (c Config) checkRatio() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf("retrybudget: "+format, args...)) }
	if !within(c.Ratio, 1/float64(parts), 1) {
		fail("Ratio is %v; want 0.000001 to 1, or 0 for %v", c.Ratio, DefaultRatio)
	}
	switch {
	case c.NoFailureRatio && c.FailureRatio != 0:
		fail("FailureRatio is %v with NoFailureRatio; want one of them", c.FailureRatio)
	case !c.NoFailureRatio && !within(c.FailureRatio, 1/float64(parts), 1):
		fail("FailureRatio is %v; want 0.000001 to 1, or 0 for %v", c.FailureRatio, DefaultFailureRatio)
	}
	if c.Window < time.Millisecond || c.Window > MaxWindow {
		fail("Window is %v; want 1ms to %v, or 0 for %v", c.Window, MaxWindow, DefaultWindow)
	}
	switch {
	case c.Reserve < 0 || c.Reserve > MaxReserve:
		fail("Reserve is %d; want 1 to %d, or 0 for %d", c.Reserve, MaxReserve, DefaultReserve)
	case c.Reserve > 0 && c.NoReserve:
		fail("Reserve is %d with NoReserve; want one of them", c.Reserve)
	}
	return errors.Join(errs...)
}

func (c Config) checkNoRatio() error {
	if c.Ratio != 0 || c.Reserve != 0 || c.Window != 0 || c.FailureRatio != 0 {
		return errors.New("retrybudget: NoRatio with Ratio, Reserve, Window or FailureRatio; want one or the other")
	}
	if c.MaxTokens == 0 {
		return errors.New("retrybudget: NoRatio without MaxTokens bounds nothing; want one bound")
	}
	return nil
}

// within reports whether least <= x <= most. It returns false for NaN.
func within(x, least, most float64) bool { return x >= least && x <= most }

// inParts returns x in parts of 1, rounded.
func inParts(x float64, parts int64) int64 { return int64(math.Round(x * float64(parts))) }
