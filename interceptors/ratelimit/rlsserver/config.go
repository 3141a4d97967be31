package rlsserver

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/internal/quota"
)

// maxMaxKeys is the greatest Config.MaxKeys, that of package ratelimit.
const maxMaxKeys = 1 << 26

// maxDepth is the greatest number of keys above each other, and of entries in a descriptor.
const maxDepth = 32

// Unknown is what happens to descriptors for which there is no limit.
type Unknown uint8

// The values of Unknown.
const (
	// AdmitUnknown answers OK.
	AdmitUnknown Unknown = iota
	// FailUnknown ends the request with NOT_FOUND.
	FailUnknown
)

// Mode is whether a limit holds.
type Mode uint8

// The modes.
const (
	Enforce Mode = iota // requests over the limit are rejected
	Shadow              // they are OK, take nothing, and are counted in Snapshot
	Off                 // there is no limit
)

// Config holds the settings of [New].
type Config struct {
	// Domains are the domains of requests.
	Domains []Domain
	// Unknown is what happens to domains and descriptors for which there is no limit. The default is
	// AdmitUnknown.
	Unknown Unknown
	// Overrides obeys the limits that requests carry, of up to 256 different rates. Requests with
	// others then end with RESOURCE_EXHAUSTED. The domain must be one of Domains.
	Overrides bool
	// OverrideAlgorithm is how the permits of such limits return. The default is GCRA.
	OverrideAlgorithm ratelimit.Algorithm
	// Headers are the headers that Envoy adds to the response for the client. They are those of the
	// limit of which the smallest part remains. The default is none.
	Headers ratelimit.Headers
	// MaxKeys is the number of quotas that are kept at a time for each limit. The default is
	// ratelimit.DefaultMaxKeys.
	MaxKeys int
	// Shared holds the settings for quotas in a store. See WithStore.
	Shared ratelimit.Shared
}

// Domain is the limits of one domain.
type Domain struct {
	Name        string
	Descriptors []Descriptor
}

// Descriptor is a node in the tree of limits. It has a limit, descriptors or both, or is
// unlimited.
type Descriptor struct {
	// Key is the key of an entry.
	Key string
	// Value is its value. "" means all values that no other descriptor has.
	Value string
	// Limit is the limit if the entry is the last one.
	Limit *Limit
	// Unlimited says that there is no limit if the entry is the last one.
	Unlimited bool
	// Descriptors are for the next entry.
	Descriptors []Descriptor
}

// Limit is a limit. Permits and Per must be set.
type Limit struct {
	// Name describes the limit to clients, optionally.
	Name string
	// Permits is the number of permits of one quota that return in each Per: 1 to 2^32-1.
	Permits int
	// Per is the time that Permits applies to: at least 1 ms, and at most 73 years.
	Per time.Duration
	// Burst is the number of permits that can be taken at once, for GCRA only. The default is Permits.
	Burst int
	// Algorithm is how permits return. The default is GCRA.
	Algorithm ratelimit.Algorithm
	// Mode is whether the limit holds. The default is Enforce.
	Mode Mode
	// ChargeRejected counts requests that are over the limit as well, up to twice the limit, as the
	// reference server does: later ones then wait for longer. It is for hits that are counted when a
	// request is over, such as by Envoy's apply_on_stream_done and ratelimit's Charge.
	ChargeRejected bool
}

// Validate returns everything that is wrong with the limit.
func (l Limit) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if l.Permits < 1 || uint64(l.Permits) > math.MaxUint32 {
		fail("the limit is %d permits; want 1 to %d", l.Permits, uint32(math.MaxUint32))
	}
	if l.Per < time.Millisecond {
		fail("the period is %v; want at least 1ms", l.Per)
	}
	if l.Algorithm > ratelimit.FixedWindow {
		fail("the algorithm is %d; want GCRA, SlidingWindow or FixedWindow", l.Algorithm)
	}
	if l.Burst < 0 {
		fail("the burst is %d; want at least 1, or 0 for as many as the limit", l.Burst)
	} else if l.Algorithm != ratelimit.GCRA && l.Burst != 0 && l.Burst != l.Permits {
		fail("the burst is %d, which %v does not have; want it with GCRA only", l.Burst, l.Algorithm)
	}
	if l.Mode > Off {
		fail("the mode is %d; want Enforce, Shadow or Off", l.Mode)
	}
	if !utf8.ValidString(l.Name) {
		fail("the name %.100q is not UTF-8", l.Name)
	}
	if errs == nil {
		if _, err := quota.New(l.quota(), 1); err != nil {
			fail("a bad combination of limit, period and burst: %w", err)
		}
	}
	return errors.Join(errs...)
}

// quota returns the limit as quotas in memory have it.
func (l Limit) quota() quota.Limit {
	return quota.Limit{
		Permits: l.Permits, Per: l.Per, Burst: cmp.Or(l.Burst, l.Permits),
		Algorithm: quota.Algorithm(l.Algorithm), Debt: l.ChargeRejected,
	}
}

func (c Config) withDefaults() Config {
	c.MaxKeys = cmp.Or(c.MaxKeys, ratelimit.DefaultMaxKeys)
	c.Shared.Nodes = cmp.Or(c.Shared.Nodes, 1)
	c.Shared.Timeout = cmp.Or(c.Shared.Timeout, ratelimit.DefaultTimeout)
	c.Shared.RetryStore = cmp.Or(c.Shared.RetryStore, ratelimit.DefaultRetryStore)
	return c
}

// check returns everything that is wrong with a configuration that has its defaults.
func (c Config) check() error {
	errs := []error{c.Shared.Validate()}
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Unknown > FailUnknown {
		fail("Unknown is %d; want AdmitUnknown or FailUnknown", c.Unknown)
	}
	if c.OverrideAlgorithm > ratelimit.FixedWindow {
		fail("OverrideAlgorithm is %d; want GCRA, SlidingWindow or FixedWindow", c.OverrideAlgorithm)
	}
	if c.Headers > ratelimit.AllHeaders {
		fail("Headers is %d; want NoHeaders, RateLimit, XRateLimit or AllHeaders", c.Headers)
	}
	if c.MaxKeys < 1 || c.MaxKeys > maxMaxKeys {
		fail("MaxKeys is %d; want 1 to %d, or 0 for %d", c.MaxKeys, maxMaxKeys, ratelimit.DefaultMaxKeys)
	}
	names := make(map[string]bool)
	for i := range c.Domains {
		d := &c.Domains[i]
		switch {
		case d.Name == "" || !utf8.ValidString(d.Name):
			fail("Domains[%d] has the name %.100q; want a text", i, d.Name)
		case names[d.Name]:
			fail("Domains[%d]: there are two domains %.100q", i, d.Name)
		case len(d.Descriptors) == 0 && !c.Overrides:
			fail("the domain %.100q has no descriptors; want some, or Overrides", d.Name)
		}
		names[d.Name] = true
		errs = append(errs, checkAll(fmt.Sprintf("the domain %.100q", d.Name), d.Descriptors, 1))
	}
	return errors.Join(errs...)
}

// checkAll returns everything that is wrong with the descriptors at a place in the tree.
func checkAll(place string, all []Descriptor, depth int) error {
	if depth > maxDepth && len(all) > 0 {
		return fmt.Errorf("%s: descriptors are nested deeper than %d", place, maxDepth)
	}
	var errs []error
	seen := make(map[entry]bool)
	for i := range all {
		d := &all[i]
		at := fmt.Sprintf("%s, %s", place, entry{d.Key, d.Value})
		fail := func(text string) { errs = append(errs, fmt.Errorf("%s: %s", at, text)) }
		if d.Key == "" || !utf8.ValidString(d.Key) || !utf8.ValidString(d.Value) {
			fail("the key is empty, or not UTF-8")
		}
		if seen[entry{d.Key, d.Value}] {
			fail("it is there twice")
		}
		seen[entry{d.Key, d.Value}] = true
		switch {
		case d.Limit != nil && d.Unlimited:
			fail("it has a limit and is unlimited")
		case d.Limit == nil && !d.Unlimited && len(d.Descriptors) == 0:
			fail("it has neither a limit nor descriptors; want one, or Unlimited")
		case d.Limit != nil:
			if err := d.Limit.Validate(); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", at, err))
			}
		}
		errs = append(errs, checkAll(at, d.Descriptors, depth+1))
	}
	return errors.Join(errs...)
}
