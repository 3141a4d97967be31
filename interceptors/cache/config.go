package cache

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// The defaults of [Config].
const (
	DefaultMaxEntries     = 10_000
	DefaultMaxBytes       = 64 << 20
	DefaultRefreshTimeout = 10 * time.Second
	DefaultMaxRefreshes   = 64
)

// The bounds of settings.
const (
	maxMaxEntries   = 1 << 26
	maxMaxRefreshes = 1 << 16
	maxDuration     = 366 * 24 * time.Hour
)

// Config holds the settings of [New]. TTL must be set.
type Config struct {
	// TTL is how long an answer is fresh without max-age, more than 0 and at most 366 days.
	TTL time.Duration
	// MaxTTL bounds max-age of responses. The default is TTL.
	MaxTTL time.Duration
	// StaleWhileRevalidate is how long a stale answer is used while it is refreshed. The default is
	// not at all.
	StaleWhileRevalidate time.Duration
	// RefreshTimeout is the longest time of a refresh. The default is DefaultRefreshTimeout.
	RefreshTimeout time.Duration
	// MaxRefreshes is the number of refreshes that run at a time. The default is DefaultMaxRefreshes.
	MaxRefreshes int
	// Methods are patterns of methods that are cached as well as those without side effects.
	Methods []string
	// Metadata are keys of request metadata on whose values answers depend, such as
	// "accept-language".
	Metadata []string
	// AcrossIdentities shares answers between callers.
	AcrossIdentities bool
	// IgnoreRequests ignores cache-control in requests.
	IgnoreRequests bool
	// MaxEntries is the number of answers that are kept. The default is DefaultMaxEntries.
	MaxEntries int
	// MaxBytes is the size of the answers that are kept, with about 350 bytes for each, 1024 or more.
	// The default is DefaultMaxBytes.
	MaxBytes int64
}

func (c Config) withDefaults() Config {
	c.MaxTTL = cmp.Or(c.MaxTTL, c.TTL)
	c.RefreshTimeout = cmp.Or(c.RefreshTimeout, DefaultRefreshTimeout)
	c.MaxRefreshes = cmp.Or(c.MaxRefreshes, DefaultMaxRefreshes)
	c.MaxEntries = cmp.Or(c.MaxEntries, DefaultMaxEntries)
	c.MaxBytes = cmp.Or(c.MaxBytes, DefaultMaxBytes)
	return c
}

// unused returns the settings of refreshes that there are none for. c is without defaults.
func (c Config) unused() error {
	if c.StaleWhileRevalidate == 0 && (c.RefreshTimeout > 0 || c.MaxRefreshes > 0) {
		return fmt.Errorf("RefreshTimeout is %v and MaxRefreshes is %d without StaleWhileRevalidate, so they have no "+
			"effect; want StaleWhileRevalidate too, or neither", c.RefreshTimeout, c.MaxRefreshes)
	}
	return nil
}

// check returns everything that is wrong with a configuration that has its defaults.
func (c Config) check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, d := range []struct {
		name  string
		value time.Duration
		least time.Duration
	}{
		{"StaleWhileRevalidate", c.StaleWhileRevalidate, 0},
		{"RefreshTimeout", c.RefreshTimeout, 1},
	} {
		if d.value < d.least || d.value > maxDuration {
			fail("%s is %v; want a time of at least %v and at most %v", d.name, d.value, d.least, maxDuration)
		}
	}
	if c.TTL <= 0 || c.TTL > maxDuration {
		fail("TTL is %v; want how long an answer is fresh, more than 0 and at most %v", c.TTL, maxDuration)
	}
	if c.MaxTTL != c.TTL && (c.MaxTTL < max(c.TTL, 1) || c.MaxTTL > maxDuration) { // the default is TTL
		fail("MaxTTL is %v; want at least TTL, which is %v, and at most %v", c.MaxTTL, c.TTL, maxDuration)
	}
	if c.MaxRefreshes < 1 || c.MaxRefreshes > maxMaxRefreshes {
		fail("MaxRefreshes is %d; want 1 to %d, or 0 for %d", c.MaxRefreshes, maxMaxRefreshes, DefaultMaxRefreshes)
	}
	if c.MaxEntries < 1 || c.MaxEntries > maxMaxEntries {
		fail("MaxEntries is %d; want 1 to %d, or 0 for %d", c.MaxEntries, maxMaxEntries, DefaultMaxEntries)
	}
	if c.MaxBytes < 1024 {
		fail("MaxBytes is %d; want at least 1024, or 0 for %d", c.MaxBytes, int64(DefaultMaxBytes))
	}
	return errors.Join(errs...)
}
