package concurrency

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/internal/engine/gradient"
	"github.com/hauberk-rpc/hauberk/internal/engine/inflight"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// The defaults of [Config].
const (
	DefaultMaxWait    = time.Second
	DefaultHold       = inflight.DefaultHold
	DefaultRetryAfter = 100 * time.Millisecond
	DefaultMaxKeys    = 1 << 16
)

// maxMaxKeys keys take about 30 GB with adaptive limits.
const maxMaxKeys = 1 << 22

// Streams is how long a call of a streaming method holds its slot.
type Streams uint8

// The values of Streams.
const (
	// ForLife holds the slot as long as the call lasts.
	ForLife Streams = iota
	// ForMessages holds the slot while a message is in progress: from a request until the next
	// response, or the end of the call.
	ForMessages
)

// Config holds the settings of [New]. One of Limit, Adaptive and Load must be set.
type Config struct {
	// Limit is the number of calls of one key that are in flight at a time, 1 to 1048576.
	Limit int
	// Adaptive finds the limit of each key, in place of Limit.
	Adaptive *Adaptive
	// By chooses which calls share a limit. The default is callkey.Global().
	By callkey.Key
	// Tenant divides each limit into fair shares between the values of a key, such as
	// callkey.Tenant(). The default is no shares. The zero Key is none.
	Tenant callkey.Key
	// Hold is how long a tenant without calls keeps its share. The default is DefaultHold.
	Hold time.Duration
	// MaxWaiting is the number of calls of one key that wait for a slot, at most 1048576. The
	// default 0 is no queue.
	MaxWaiting int
	// MaxWait is how long a call waits at most. The default is DefaultMaxWait.
	MaxWait time.Duration
	// Critical and Sheddable are patterns of methods whose calls get a slot before and after
	// those of other methods, if they wait. A server that has no method of a pattern does not serve.
	// See also WithPriority.
	Critical, Sheddable []string
	// Streams is how long a call of a streaming method holds its slot. The default is ForLife.
	Streams Streams
	// Load rejects calls while the load of the process is high.
	Load *Load
	// RetryAfter is the least delay that rejections ask for. The default is DefaultRetryAfter.
	RetryAfter time.Duration
	// MaxKeys is the number of keys without calls that are kept, and of peers of calls
	// without a key. The default is DefaultMaxKeys.
	MaxKeys int
	// LimitUnknown limits calls of methods that the server does not have as well. A proxy,
	// which has no methods itself, needs it. Limits by peer always do.
	LimitUnknown bool
}

// Adaptive holds the settings of adaptive limits. The zero value has the defaults.
type Adaptive struct {
	// Initial is the limit of a new key. The default is 20, or the nearest of Min and Max.
	Initial int
	// Min and Max bound the limit. The defaults are 4 and 1000, or Min if that is more.
	Min, Max int
	// Tolerance is how many times the duration without a queue the median of durations may
	// be, 1.1 to 10. The default is 1.5.
	Tolerance float64
	// Window is the least time between two changes of the limit. The default is 100 ms.
	Window time.Duration
	// ProbeEvery is how often the limit is halved for a moment to measure the duration
	// without a queue. The default is 30 s.
	ProbeEvery time.Duration
}

func (c Config) withDefaults() Config {
	c.MaxWait = cmp.Or(c.MaxWait, DefaultMaxWait)
	c.Hold = cmp.Or(c.Hold, DefaultHold)
	c.RetryAfter = cmp.Or(c.RetryAfter, DefaultRetryAfter)
	c.MaxKeys = cmp.Or(c.MaxKeys, DefaultMaxKeys)
	if c.By.Name() == "" {
		c.By = callkey.Global()
	}
	if c.Adaptive != nil {
		a := Adaptive(gradient.Config(*c.Adaptive).WithDefaults())
		c.Adaptive = &a
	}
	if c.Load != nil {
		l := c.Load.withDefaults()
		c.Load = &l
	}
	return c
}

// check returns everything that is wrong with a configuration that has its defaults.
func (c Config) check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	c.checkLimit(fail)
	if c.MaxWaiting < 0 || c.MaxWaiting > inflight.MaxWaiting {
		fail("MaxWaiting is %d; want 0 to %d", c.MaxWaiting, inflight.MaxWaiting)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
		usual time.Duration
	}{
		{"MaxWait", c.MaxWait, DefaultMaxWait},
		{"Hold", c.Hold, DefaultHold},
		{"RetryAfter", c.RetryAfter, DefaultRetryAfter},
	} {
		if d.value < 0 {
			fail("%s is %v; want more than 0, or 0 for %v", d.name, d.value, d.usual)
		}
	}
	if c.Streams > ForMessages {
		fail("Streams is %d; want ForLife or ForMessages", c.Streams)
	}
	if c.MaxKeys < 1 || c.MaxKeys > maxMaxKeys {
		fail("MaxKeys is %d; want 1 to %d, or 0 for %d", c.MaxKeys, maxMaxKeys, DefaultMaxKeys)
	}
	if err := c.By.CheckCalls(); err != nil {
		fail("By: %w", err)
	}
	if err := c.Tenant.CheckCalls(); err != nil {
		fail("Tenant: %w", err)
	}
	return errors.Join(errs...)
}

// checkLimit reports what is wrong with the fields of which one must be set.
func (c Config) checkLimit(fail func(format string, args ...any)) {
	switch {
	case c.Adaptive != nil && c.Limit != 0:
		fail("Limit is %d, and Adaptive is set; want one of them", c.Limit)
	case c.Limit == 0 && c.Adaptive == nil && c.Load == nil:
		fail("none of Limit, Adaptive and Load is set; want one, such as Adaptive: &concurrency.Adaptive{}")
	case c.Limit < 0 || c.Limit > inflight.MaxLimit:
		fail("Limit is %d; want 1 to %d", c.Limit, inflight.MaxLimit)
	case c.Limit == 0 && c.Adaptive == nil && (c.MaxWaiting != 0 || c.Tenant.Name() != ""):
		fail("MaxWaiting or Tenant is set without Limit or Adaptive")
	}
	if c.Adaptive != nil {
		if err := gradient.Config(*c.Adaptive).Validate(); err != nil {
			fail("Adaptive: %w", err)
		}
	}
	if c.Load != nil {
		c.Load.check(fail)
	}
}

// unused returns the settings that have no effect without others. c is without defaults.
func (c Config) unused(priority bool) error {
	var errs []error
	none := func(name string, set bool, need string) {
		if set {
			errs = append(errs, fmt.Errorf("%s has no effect without %s; want both or neither", name, need))
		}
	}
	if c.MaxWaiting == 0 {
		const need = "MaxWaiting"
		none("MaxWait", c.MaxWait > 0, need)
		none("Critical", len(c.Critical) > 0, need)
		none("Sheddable", len(c.Sheddable) > 0, need)
		none("WithPriority", priority, need)
	}
	if c.Tenant.Name() == "" {
		none("Hold", c.Hold > 0, "Tenant")
	}
	if c.Load != nil && !c.limits() {
		const need = "Limit or Adaptive"
		none("By", c.By.Name() != "" && !c.By.IsPeer(), need)
		none("Streams", c.Streams != ForLife, need)
	}
	return errors.Join(errs...)
}

// limits reports whether calls in flight are limited.
func (c Config) limits() bool { return c.Limit != 0 || c.Adaptive != nil }

// priorities are the sets of methods with a priority.
type priorities struct{ critical, sheddable pattern.Set }

func (c Config) priorities() (p priorities, err error) {
	var errs []error
	parse := func(name string, texts []string) pattern.Set {
		set, bad := pattern.ParseAll(texts)
		for _, text := range bad {
			errs = append(errs, fmt.Errorf("%s has %.100q; %s", name, text, pattern.Want))
		}
		return set
	}
	p = priorities{parse("Critical", c.Critical), parse("Sheddable", c.Sheddable)}
	return p, errors.Join(errs...)
}

// unmatched lists the patterns that match none of the methods.
func (p priorities) unmatched(methods []*hauberk.Method) []string {
	index := pattern.IndexOf(methods)
	all := index.Unmatched("concurrency.Config.Critical", p.critical)
	return append(all, index.Unmatched("concurrency.Config.Sheddable", p.sheddable)...)
}

// rule describes the limit to operators.
func (c Config) rule() string {
	limit := fmt.Sprintf("%d in flight", c.Limit)
	if a := c.Adaptive; a != nil {
		limit = fmt.Sprintf("adaptive limit of %d to %d in flight", a.Min, a.Max)
	}
	if c.MaxWaiting > 0 {
		limit += fmt.Sprintf(", %d waiting", c.MaxWaiting)
	}
	return limit + " by "
}
