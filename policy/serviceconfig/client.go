package serviceconfig

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/internal/options"
	"github.com/hauberk-rpc/hauberk/retrybudget"
)

const (
	// maxPushback is the longest wait that gRFC A6 lets a server ask for: 2^31-1 ms.
	maxPushback = math.MaxInt32 * time.Millisecond
	// maxReplayBytes is how much of the requests of a client stream grpc-go keeps for another attempt.
	maxReplayBytes = 256 << 10
	// maxHedges is the greatest MaxAttempts of package hedge.
	maxHedges = 5
)

// Client is the interceptors of a client of a service config. Both lists can be empty.
type Client struct {
	// Calls set the options and the deadlines of calls. They run once for a call, outside of caches.
	Calls []hauberk.Interceptor
	// Repeats retry and hedge. They run inside of caches. What runs inside of them runs for each attempt.
	Repeats []hauberk.Interceptor
	// Budget is the budget of Repeats: the tokens of retryThrottling, or that of [WithBudget]. It is nil for
	// none.
	Budget *retrybudget.Budget
}

// All returns Calls and Repeats, for clients without caches.
func (c Client) All() []hauberk.Interceptor { return slices.Concat(c.Calls, c.Repeats) }

// Client makes the interceptors of a client. Each call makes new ones, with a new budget, which can be used in
// several chains. hauberk.New reports what is wrong with the options.
func (c *Config) Client(opts ...Option) Client {
	b := builder{config: c, most: DefaultMaxCallAttempts}
	nils := options.ApplyTo("Client", opts, func(o Option) { o.apply(&b) })
	for _, m := range c.Methods {
		b.all = append(b.all, m.Names...)
	}
	if t := c.Throttling; t != nil {
		if b.budget != nil {
			b.errs = append(b.errs, errThrottled)
		}
		b.budget = retrybudget.New(retrybudget.Config{
			NoRatio: true, MaxTokens: t.MaxTokens, TokenRatio: min(t.TokenRatio, retrybudget.MaxTokens),
		})
	}
	b.err = errors.Join(append(b.errs, nils, b.budget.Err())...)
	return b.client()
}

var errThrottled = errors.New("WithBudget with a service config that has retryThrottling; want one of them")

// builder makes a [Client].
type builder struct {
	config *Config
	all    []string // the names of all entries
	most   int      // attempts of a call
	budget *retrybudget.Budget
	retry  []retry.Option
	hedge  []hedge.Option
	errs   []error
	err    error // all of errs
}

func (b *builder) client() Client {
	client := Client{Budget: b.budget}
	if b.err != nil { // for hauberk.New
		declaration := hauberk.Declaration{Name: "serviceconfig", Err: b.err}
		client.Calls = append(client.Calls, hauberk.Declare(hauberk.Func(pass), declaration))
	}
	for i := range b.config.Methods {
		m := &b.config.Methods[i]
		client.Calls = b.add(client.Calls, m.Names, b.options(m))
		client.Repeats = b.add(client.Repeats, m.Names, b.repeats(m)...)
	}
	if d := b.deadline(); d != nil {
		client.Calls = append(client.Calls, d)
	}
	if b.config.Throttling != nil && !slices.Contains(b.all, "*") {
		counter := b.counter(false)
		if len(b.all) > 0 {
			counter = hauberk.Except(b.all, counter)
		}
		client.Repeats = append(client.Repeats, counter)
	}
	return client
}

func pass(ctx context.Context, call *hauberk.Call, next hauberk.Next) error { return next(ctx, call) }

// add appends interceptors for the methods of an entry: those that its names match, and no more specific name of
// another entry. nil interceptors are left out.
func (b *builder) add(list []hauberk.Interceptor, names []string, xs ...hauberk.Interceptor) []hauberk.Interceptor {
	xs = slices.DeleteFunc(xs, func(x hauberk.Interceptor) bool { return x == nil })
	if len(xs) == 0 {
		return list
	}
	var methods, services []string
	for _, name := range names {
		switch {
		case name == "*":
			list = append(list, b.except(xs, func(other string) bool { return other != "*" }))
		case strings.HasSuffix(name, "/*"):
			services = append(services, name)
		default:
			methods = append(methods, name)
		}
	}
	if len(services) > 0 {
		list = append(list, hauberk.For(services, b.except(xs, func(other string) bool {
			return slices.ContainsFunc(services, func(s string) bool { return isMethodOf(other, s) })
		})))
	}
	if len(methods) > 0 {
		list = append(list, hauberk.For(methods, xs...))
	}
	return list
}

// isMethodOf reports whether a name is that of a method of a service, which has the form "shop.v1.Cart/*".
func isMethodOf(name, service string) bool {
	return name != service && strings.HasPrefix(name, strings.TrimSuffix(service, "*"))
}

// except returns interceptors for all methods but those of some names.
func (b *builder) except(xs []hauberk.Interceptor, isExcepted func(name string) bool) hauberk.Interceptor {
	var excepted []string
	for _, name := range b.all {
		if isExcepted(name) {
			excepted = append(excepted, name)
		}
	}
	if len(excepted) == 0 {
		return hauberk.For("*", xs...)
	}
	return hauberk.Except(excepted, xs...)
}

// repeats returns the interceptors that repeat the calls of an entry, or count them for the budget.
func (b *builder) repeats(m *MethodConfig) []hauberk.Interceptor {
	throttled := b.config.Throttling != nil
	switch {
	case m.Retry != nil:
		return []hauberk.Interceptor{b.retries(m.Retry)}
	case m.Hedging != nil && throttled:
		return []hauberk.Interceptor{b.counter(true), b.hedges(m.Hedging)}
	case m.Hedging != nil:
		return []hauberk.Interceptor{b.hedges(m.Hedging)}
	case throttled:
		return []hauberk.Interceptor{b.counter(false)}
	default:
		return nil
	}
}

func (b *builder) retries(p *RetryPolicy) hauberk.Interceptor {
	config := retry.Config{
		AllMethods: true, MaxAttempts: min(p.MaxAttempts, b.most),
		RetryableStatusCodes: p.RetryableStatusCodes,
		InitialBackoff:       min(p.InitialBackoff, p.MaxBackoff), MaxBackoff: p.MaxBackoff,
		BackoffMultiplier: p.BackoffMultiplier,
		MaxServerDelay:    maxPushback, MaxReplayBytes: maxReplayBytes, NoBudget: b.budget == nil,
	}
	opts := b.retry
	if b.budget != nil {
		opts = append(slices.Clone(opts), retry.WithBudget(b.budget))
	}
	return retry.New(config, opts...)
}

func (b *builder) hedges(p *HedgingPolicy) hauberk.Interceptor {
	config := hedge.Config{
		AllMethods: true, MaxAttempts: min(p.MaxAttempts, b.most, maxHedges),
		Delay: p.HedgingDelay, NoDelay: p.HedgingDelay == 0, NonFatalStatusCodes: p.NonFatalStatusCodes,
		MaxServerDelay: maxPushback, NoBudget: b.budget == nil,
	}
	opts := b.hedge
	if b.budget != nil {
		opts = append(slices.Clone(opts), hedge.WithBudget(b.budget))
	}
	return hedge.New(config, opts...)
}

// deadline returns the interceptor for all timeouts, or nil if there are none.
func (b *builder) deadline() hauberk.Interceptor {
	var config deadline.Config
	some := false
	for _, m := range b.config.Methods {
		rule := deadline.Rule{Methods: m.Names, Max: deadline.Off}
		if m.Timeout > 0 {
			rule.Max, some = m.Timeout, true
		}
		if slices.Contains(m.Names, b.ofHealthWatch()) {
			rule.Methods = append(slices.Clone(rule.Methods), healthWatch)
		}
		config.Rules = append(config.Rules, rule)
	}
	if !some {
		return nil
	}
	return deadline.New(config)
}

// healthWatch is exempt from the rules of deadline for other methods, but not from a service config.
const healthWatch = "grpc.health.v1.Health/Watch"

// ofHealthWatch returns the name whose entry is that of healthWatch, or "" if healthWatch is a name by itself.
func (b *builder) ofHealthWatch() string {
	switch {
	case slices.Contains(b.all, healthWatch):
		return ""
	case slices.Contains(b.all, hauberk.Health):
		return hauberk.Health
	default:
		return "*"
	}
}
