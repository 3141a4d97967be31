package deadline

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// Off turns a setting of a [Rule] off that a less specific rule, a policy or the [Config] has.
const Off = -1

// DefaultTypicalWindow is the default of [Config.TypicalWindow].
const DefaultTypicalWindow = 10 * time.Second

// maxTypicalWindow is the longest window: the durations of an hour ago say nothing about a call.
const maxTypicalWindow = time.Hour

// Config holds the settings of [New]. Of each time 0 is none, and it must not be negative. Default, Max
// and IdleTimeout have no effect on grpc.health.v1.Health/Watch, which needs a [Rule] for exactly that method.
type Config struct {
	// Default is the time that a call without a deadline may take.
	Default time.Duration
	// Max is the longest time that a call may take. It replaces later deadlines, and is the
	// deadline of calls without one.
	Max time.Duration
	// Margin is by how much the context that inner interceptors and the handler receive ends
	// before the deadline: the time to answer the caller after an outgoing call has failed.
	Margin time.Duration
	// MinTimeLeft rejects calls whose caller leaves them at most this time.
	MinTimeLeft time.Duration
	// TypicalQuantile rejects calls whose caller leaves them less time than this quantile of the
	// durations of recent calls of the method: 0.5 is the median. 0 is none.
	TypicalQuantile float64
	// ReceiveTimeout is the longest time that this side waits for the next message of the other.
	ReceiveTimeout time.Duration
	// SendTimeout is the longest time that the Send of a message takes.
	SendTimeout time.Duration
	// IdleTimeout is the longest time without a message in either direction.
	IdleTimeout time.Duration

	// Rules are settings of some methods, in any order: the most specific pattern counts.
	Rules []Rule

	// EndEarly ends calls on a server a little before the deadline of the caller, with
	// DEADLINE_EXCEEDED, since some clients report the reset of grpc-go's server at the deadline
	// as CANCELLED. It costs a timer for each call with a deadline.
	EndEarly bool
	// TypicalWindow is how long the durations for TypicalQuantile are collected, at most an
	// hour. The default is DefaultTypicalWindow.
	TypicalWindow time.Duration
}

// Rule is the settings of the methods that a pattern matches. Of the other fields, which are as
// in [Config], 0 leaves the setting to less specific rules, and [Off] turns it off.
type Rule struct {
	// Methods are patterns in the form that hauberk.For takes: "shop.v1.Cart/Get",
	// "shop.v1.Cart/*", "shop.v1.*" or "*".
	Methods []string

	Default         time.Duration
	Max             time.Duration
	Margin          time.Duration
	MinTimeLeft     time.Duration
	TypicalQuantile float64
	ReceiveTimeout  time.Duration
	SendTimeout     time.Duration
	IdleTimeout     time.Duration
}

// general returns the settings of the fields of Config, as a rule for all methods.
func (c *Config) general() Rule {
	return Rule{
		Default: c.Default, Max: c.Max, Margin: c.Margin, MinTimeLeft: c.MinTimeLeft,
		TypicalQuantile: c.TypicalQuantile,
		ReceiveTimeout:  c.ReceiveTimeout, SendTimeout: c.SendTimeout, IdleTimeout: c.IdleTimeout,
	}
}

// level is one level of settings, from which a method takes what more specific ones do not set.
type level struct {
	source  string
	pattern pattern.Pattern
	values
}

// levels returns the levels of Config, the most specific first, and what is wrong with them.
func (c *Config) levels() ([]level, error) {
	var errs []error
	var all []level
	seen := make(map[pattern.Pattern]string)
	for i := range c.Rules {
		r := &c.Rules[i]
		source := fmt.Sprintf("Rules[%d]", i)
		v := r.values()
		errs = append(errs, v.check(source+".", true))
		switch {
		case len(r.Methods) == 0:
			errs = append(errs, fmt.Errorf("%s has no Methods", source))
		case v == values{}:
			errs = append(errs, fmt.Errorf("%s has no setting, so it has no effect", source))
		}
		for _, text := range r.Methods {
			p, ok := pattern.Parse(text)
			if !ok {
				errs = append(errs, fmt.Errorf("%s.Methods has %.100q; %s", source, text, pattern.Want))
				continue
			}
			if other, twice := seen[p]; twice {
				errs = append(errs, fmt.Errorf("%s.Methods has %q, which %s has too", source, text, other))
			}
			seen[p] = source
			all = append(all, level{"deadline.Config." + source, p, v})
		}
	}
	all = append(all, healthWatch())
	return append(sorted(all), c.lowest()), errors.Join(errs...)
}

// watchMethod lasts as long as its client is connected: its end takes the client's channel out of READY.
const watchMethod = "grpc.health.v1.Health/Watch"

// healthWatch returns the level that exempts health watches from what ends streams. A rule for the same
// pattern comes before it.
func healthWatch() level {
	p, _ := pattern.Parse(watchMethod)
	r := Rule{Default: Off, Max: Off, IdleTimeout: Off}
	return level{source: "the default of " + watchMethod, pattern: p, values: r.values()}
}

// lowest returns the level of the fields of Config.
func (c *Config) lowest() level {
	r := c.general()
	return level{source: "deadline.Config", values: r.values()}
}

// check returns what is wrong with the fields of Config.
func (c *Config) check() error {
	v := c.lowest().values
	errs := []error{v.check("", false)}
	window := cmp.Or(c.TypicalWindow, DefaultTypicalWindow)
	if window < 0 || window > maxTypicalWindow {
		errs = append(errs, fmt.Errorf("TypicalWindow is %v; want more than 0 and at most %v, or 0 for %v",
			c.TypicalWindow, maxTypicalWindow, DefaultTypicalWindow))
	}
	measures := func(r Rule) bool { return r.TypicalQuantile > 0 }
	if c.TypicalWindow != 0 && c.TypicalQuantile == 0 && !slices.ContainsFunc(c.Rules, measures) {
		errs = append(errs, fmt.Errorf("TypicalWindow is %v without TypicalQuantile, so it has no effect; "+
			"want both or neither", c.TypicalWindow))
	}
	return errors.Join(errs...)
}
