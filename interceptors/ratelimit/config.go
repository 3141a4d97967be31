package ratelimit

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/internal/engine/gcra"
	"github.com/hauberk-rpc/hauberk/internal/engine/window"
)

// DefaultMaxKeys is the default of [Config.MaxKeys].
const DefaultMaxKeys = 1 << 16

// maxMaxKeys keys take about 15 GB.
const maxMaxKeys = 1 << 26

// minPer is the least period: a Per of 60 is 60 ns, and a limit in that is none.
const minPer = time.Millisecond

// maxAlso is the greatest number of further limits.
const maxAlso = 15

// Algorithm is how permits return.
type Algorithm uint8

// The algorithms.
const (
	// GCRA returns permits evenly, as a token bucket of size Burst does: the generic cell
	// rate algorithm of ITU-T I.371.
	GCRA Algorithm = iota
	// SlidingWindow returns each permit Per after it was taken. Limits above 1024 return
	// it up to 1/1023 of Per later.
	SlidingWindow
	// FixedWindow returns all permits at the end of each window.
	FixedWindow
)

// String returns the algorithm's name: "GCRA".
func (a Algorithm) String() string {
	switch a {
	case GCRA:
		return "GCRA"
	case SlidingWindow:
		return "SlidingWindow"
	case FixedWindow:
		return "FixedWindow"
	default:
		return fmt.Sprintf("Algorithm(%d)", uint8(a))
	}
}

// Config holds the settings of [New]. Limit and Per must be set.
type Config struct {
	// Limit is the number of permits of one key that return in each Per, at least 1. A call takes one
	// permit, unless Cost says otherwise.
	Limit int
	// Per is the time that Limit applies to: at least 1 ms, and at most 73 years.
	Per time.Duration
	// Burst is the number of permits of one key that can be taken at once, for GCRA only.
	// The default is Limit.
	Burst int
	// Algorithm is how permits return. The default is GCRA.
	Algorithm Algorithm
	// By chooses which calls share a quota. The default is callkey.Peer().
	By callkey.Key
	// Cost is how many permits a call and its messages take. The default is 1 for each call.
	Cost Cost

	// Also holds up to 15 further limits. A call takes permits of all limits, or of none. Of a
	// further limit Limit, Per, Burst, Algorithm, By and Cost count.
	Also []Config
	// OverLimit is what happens to a message inside a stream for which there are no permits.
	// The default is End.
	OverLimit OverLimit
	// Headers are the response headers with which a server reports quotas to its clients. The
	// default is none.
	Headers Headers
	// MaxKeys is the number of keys that are kept at a time for each limit, and the number of
	// peers of calls without a key. The default is DefaultMaxKeys.
	MaxKeys int
	// ChargeUnknown counts calls of methods that the server does not have as well. A proxy,
	// which has no methods itself, needs it. Limits by peer always count them.
	ChargeUnknown bool

	// Shared holds the settings for quotas that nodes share. See WithStore.
	Shared Shared
}

func (c Config) withDefaults() Config {
	c.Burst = cmp.Or(c.Burst, c.Limit)
	c.MaxKeys = cmp.Or(c.MaxKeys, DefaultMaxKeys)
	if c.By.Name() == "" {
		c.By = callkey.Peer()
	}
	c.Cost = c.Cost.withDefaults()
	return c
}

// limits returns the configuration of each limit, with the defaults.
func (c Config) limits() []Config {
	all := append(make([]Config, 0, 1+len(c.Also)), c)
	for i := range c.Also {
		all = append(all, c.Also[i].withDefaults())
	}
	return all
}

// check returns everything that is wrong with a configuration that has its defaults.
func (c Config) check() error {
	errs := c.checkLimit()
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.MaxKeys < 1 || c.MaxKeys > maxMaxKeys {
		fail("MaxKeys is %d; want 1 to %d, or 0 for %d", c.MaxKeys, maxMaxKeys, DefaultMaxKeys)
	}
	if c.OverLimit > Wait {
		fail("OverLimit is %d; want End or Wait", c.OverLimit)
	} else if c.OverLimit == Wait && !slices.ContainsFunc(c.limits(), Config.waits) {
		fail("OverLimit is Wait, but calls do not wait; want a limit with Cost.Message, Cost.Byte or Cost.Charged")
	}
	if c.Headers > AllHeaders {
		fail("Headers is %d; want NoHeaders, RateLimit, XRateLimit or AllHeaders", c.Headers)
	}
	if len(c.Also) > maxAlso {
		fail("Also has %d limits; want at most %d", len(c.Also), maxAlso)
	}
	for i := range c.Also {
		if c.Also[i].isMore() {
			fail("Also[%d] sets what holds for all limits; want Limit, Per, Burst, Algorithm, By and Cost only", i)
		}
		for _, err := range c.Also[i].withDefaults().checkLimit() {
			fail("Also[%d]: %w", i, err)
		}
	}
	errs = append(errs, c.Shared.Validate())
	return errors.Join(errs...)
}

// waits reports whether messages or handlers take permits of the limit.
func (c Config) waits() bool { return c.Cost.counts() || c.Cost.Charged }

// isMore reports whether a further limit has settings of an interceptor.
func (c Config) isMore() bool {
	return c.Also != nil || c.OverLimit != End || c.Headers != NoHeaders || c.MaxKeys != 0 || c.ChargeUnknown ||
		c.Shared != (Shared{})
}

// checkLimit returns everything that is wrong with one limit.
func (c Config) checkLimit() (errs []error) {
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Limit < 1 {
		fail("Limit is %d; want at least 1", c.Limit)
	}
	if c.Per < minPer {
		fail("Per is %v; want at least %v, such as 60*time.Second", c.Per, minPer)
	}
	if c.Burst < 0 {
		fail("Burst is %d; want at least 1, or 0 for as many as Limit", c.Burst)
	} else if c.Algorithm != GCRA && c.Burst != c.Limit {
		fail("Burst is %d, which %s does not have; want it with GCRA only", c.Burst, c.Algorithm)
	}
	if c.Algorithm > FixedWindow {
		fail("Algorithm is %d; want GCRA, SlidingWindow or FixedWindow", c.Algorithm)
	}
	if len(errs) == 0 {
		if err := c.checkCombination(); err != nil {
			errs = append(errs, err)
		}
	}
	if err := c.By.Err(); err != nil {
		fail("By: %w", err)
	}
	if err := c.checkPerMessage(); err != nil {
		errs = append(errs, err)
	}
	return append(errs, c.Cost.check(c.Burst)...)
}

// invalid returns what is wrong with the key and the cost of one limit for methods.
func (c Config) invalid(setting string, methods []*hauberk.Method) []string {
	all := c.By.Invalid(setting+"By", methods)
	if cost, ok := c.Cost.Of.(interface {
		Invalid(methods []*hauberk.Method) []string
	}); ok {
		for _, text := range cost.Invalid(methods) {
			all = append(all, setting+"Cost.Of: "+text)
		}
	}
	return all
}

// checkPerMessage returns what a key of messages does not go with: what takes permits of whole calls, and
// responses.
func (c Config) checkPerMessage() error {
	switch {
	case !c.By.PerMessage():
		return nil
	case !c.Cost.counts() || c.Cost.Call != 0 || c.Cost.Of != nil || c.Cost.Charged:
		return errors.New("the key By is of messages, and Cost counts calls; want Cost.Message or Cost.Byte only")
	case c.Cost.Messages != Requests:
		return errors.New("the key By is of requests, and Cost.Messages has responses; want Requests")
	case len(c.Cost.Methods) > 0:
		return errors.New("the key By is of messages, and Cost.Methods counts calls; want none")
	default:
		return nil
	}
}

// checkCombination returns what the algorithm reports about Limit, Per and Burst, which are
// valid each.
func (c Config) checkCombination() (err error) {
	if c.Algorithm == GCRA {
		_, err = gcra.New(c.Limit, c.Per, c.Burst)
	} else {
		_, err = window.New(c.Limit, c.Per)
	}
	if err != nil {
		return fmt.Errorf("a bad combination of Limit, Per and Burst: %w", err)
	}
	return nil
}

// rule describes the limit to operators.
func (c Config) rule() string {
	if c.Algorithm == GCRA && c.Burst != c.Limit {
		return fmt.Sprintf("%d in %v, burst %d, by ", c.Limit, c.Per, c.Burst)
	}
	return fmt.Sprintf("%d in %v by ", c.Limit, c.Per)
}
