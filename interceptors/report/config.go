package report

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// The defaults of [Config].
const (
	DefaultEvery     = time.Minute
	DefaultPerMinute = 60
	DefaultMaxKinds  = 1000
)

const maxMaxKinds = 1 << 20

// DefaultCodes returns the codes of calls that are reported: UNKNOWN, INTERNAL and DATA_LOSS. The caller
// owns the result.
func DefaultCodes() []codes.Code { return []codes.Code{codes.Unknown, codes.Internal, codes.DataLoss} }

// Config holds the settings of [New]. The zero value has the defaults.
type Config struct {
	// Codes are the codes of calls that are reported. nil is DefaultCodes; an empty slice is none, so
	// that only panics are.
	Codes []codes.Code
	// Ignore lists calls that are not reported. Panics are reported all the same.
	Ignore []Ignore
	// Every is the time for which incidents like a reported one are counted only. The default is
	// DefaultEvery.
	Every time.Duration
	// PerMinute bounds the reports in a minute, in bursts of as many. The default is DefaultPerMinute.
	PerMinute int
	// MaxKinds bounds the kinds of incidents that are remembered. The default is DefaultMaxKinds.
	MaxKinds int
}

// Ignore names calls that are not reported: those that match all of its fields that are set.
type Ignore struct {
	// Methods are patterns of methods, in the form that hauberk.For takes.
	Methods []string
	// Codes are codes of outcomes.
	Codes []codes.Code
	// Reasons are reasons of rejections ([hauberk.Reason]).
	Reasons []string
}

func (c Config) withDefaults() Config {
	if c.Codes == nil {
		c.Codes = DefaultCodes()
	}
	c.Codes = slices.Clone(c.Codes)
	c.Every = cmp.Or(c.Every, DefaultEvery)
	c.PerMinute = cmp.Or(c.PerMinute, DefaultPerMinute)
	c.MaxKinds = cmp.Or(c.MaxKinds, DefaultMaxKinds)
	return c
}

// check returns everything that is wrong with a configuration that has its defaults.
func (c Config) check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	checkCodes := func(setting string, list []codes.Code) {
		for _, code := range list {
			if code == codes.OK || code > codes.Unauthenticated {
				fail("%s has %v; want codes of errors", setting, code)
			}
		}
	}
	checkCodes("Codes", c.Codes)
	if c.Every < 0 {
		fail("Every is %v; want more than 0, or 0 for %v", c.Every, DefaultEvery)
	}
	if c.PerMinute < 0 {
		fail("PerMinute is %d; want at least 1, or 0 for %d", c.PerMinute, DefaultPerMinute)
	}
	if c.MaxKinds < 0 || c.MaxKinds > maxMaxKinds {
		fail("MaxKinds is %d; want 1 to %d, or 0 for %d", c.MaxKinds, maxMaxKinds, DefaultMaxKinds)
	}
	for i, g := range c.Ignore {
		checkCodes(fmt.Sprintf("Ignore[%d].Codes", i), g.Codes)
		if len(g.Methods)+len(g.Codes)+len(g.Reasons) == 0 {
			fail("Ignore[%d] is empty, which names all calls; want Methods, Codes or Reasons", i)
		}
	}
	return errors.Join(errs...)
}

// ignored is an Ignore with parsed patterns.
type ignored struct {
	Ignore

	methods pattern.Set
}

func (c Config) ignored() (all []ignored, err error) {
	var errs []error
	for i, g := range c.Ignore {
		methods, bad := pattern.ParseAll(g.Methods)
		for _, text := range bad {
			errs = append(errs, fmt.Errorf("Ignore[%d].Methods has %q; %s", i, text, pattern.Want))
		}
		all = append(all, ignored{g, methods})
	}
	return all, errors.Join(errs...)
}

// has reports whether an outcome is one of those that are not reported.
func (g *ignored) has(m *hauberk.Method, code codes.Code, reason string) bool {
	return (len(g.Methods) == 0 || g.methods.Matches(m.Service(), m.Name())) &&
		(len(g.Codes) == 0 || slices.Contains(g.Codes, code)) &&
		(len(g.Reasons) == 0 || slices.Contains(g.Reasons, reason))
}

// unmatched returns which patterns match none of the methods.
func (x *Interceptor) unmatched(methods []*hauberk.Method) (all []string) {
	index := pattern.IndexOf(methods)
	for i, g := range x.ignore {
		all = append(all, index.Unmatched(fmt.Sprintf("report.Config.Ignore[%d].Methods", i), g.methods)...)
	}
	return all
}
