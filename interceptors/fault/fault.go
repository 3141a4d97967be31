package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/options"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// Interceptor injects faults. Make it with [New]. It is safe for concurrent use by any number of
// chains, of servers and of clients, whose calls then have one order.
type Interceptor struct {
	config Config
	rules  []rule
	on     func() bool // nil for always
	active atomic.Int64
	counts [kinds]atomic.Uint64
	err    error
}

// rule is a rule with its state.
type rule struct {
	*Rule

	index   int
	methods pattern.Set
	calls   atomic.Uint64 // that it has matched
}

// New returns an interceptor for both sides. hauberk.New reports what is wrong with its
// configuration.
func New(config Config, opts ...Option) *Interceptor {
	if config.Seed == 0 {
		config.Seed = rand.Uint64()
	}
	x := &Interceptor{config: config, rules: make([]rule, len(config.Rules))}
	nils := options.Apply(opts, func(o Option) { o.apply(x) })
	errs := []error{x.err, nils, config.check()}
	for i := range x.rules {
		own := config.Rules[i]
		set, bad := own.patterns()
		for _, text := range bad {
			errs = append(errs, fmt.Errorf("Rules[%d].Methods has %.100q; %s", i, text, pattern.Want))
		}
		r := &x.rules[i]
		r.Rule, r.index, r.methods = &own, i, set
	}
	x.err = errors.Join(errs...)
	return x
}

// Seed returns the seed of the faults.
func (x *Interceptor) Seed() uint64 { return x.config.Seed }

// Declare describes the interceptor to the checks of a chain.
func (x *Interceptor) Declare() hauberk.Declaration {
	err := x.err
	if x.rules == nil && err == nil {
		err = errors.New("a zero fault.Interceptor; make it with fault.New")
	}
	return hauberk.Declaration{
		Name: name, Phase: hauberk.PhaseFault, Warning: x.warning(), Unmatched: x.unmatched, Err: err,
	}
}

func (x *Interceptor) warning() string {
	texts := make([]string, len(x.rules))
	for i := range x.rules {
		texts[i] = x.rules[i].String()
	}
	return fmt.Sprintf("faults are injected (seed %d): %s", x.config.Seed, strings.Join(texts, "; "))
}

func (x *Interceptor) unmatched(methods []*hauberk.Method) []string {
	index := pattern.IndexOf(methods)
	var all []string //nolint:prealloc // mostly there is none
	for i := range x.rules {
		all = append(all, index.Unmatched(fmt.Sprintf("fault.Config.Rules[%d]", i), x.rules[i].methods)...)
	}
	return all
}

// matches reports whether a call is one that a rule is for.
func (r *rule) matches(ctx context.Context, call *hauberk.Call) bool {
	m := call.Method()
	if !r.methods.Matches(m.Service(), m.Name()) {
		return false
	}
	for key, want := range r.Metadata {
		if !has(call.Metadata(ctx, key), want) {
			return false
		}
	}
	return true
}

func has(values []string, want string) bool {
	for _, v := range values {
		if want == "*" || v == want {
			return true
		}
	}
	return false
}

// Intercept injects the faults of the rules that match a call.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	for i := range x.rules {
		if x.rules[i].matches(ctx, call) {
			return x.chooseFrom(ctx, call, next, i)
		}
	}
	return next(ctx, call)
}

// chosen is a rule whose faults a call gets, and which of its calls it is.
type chosen struct {
	*rule

	n    uint64
	lots lots
}

// chooseFrom draws for the rules that match a call, the first of which is known.
//
//go:noinline // its variables would be on the stack of calls that no rule matches
func (x *Interceptor) chooseFrom(ctx context.Context, call *hauberk.Call, next hauberk.Next, first int) error {
	if x.on != nil && !x.on() {
		return next(ctx, call)
	}
	var all []chosen
	for i := first; i < len(x.rules); i++ {
		r := &x.rules[i]
		if i > first && !r.matches(ctx, call) {
			continue
		}
		c := chosen{rule: r, n: r.calls.Add(1) - 1}
		c.lots = draw(x.config.Seed, r.index, c.n, ofCall)
		if c.lots.percent(r.Percentage) {
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return next(ctx, call)
	}
	if active := x.active.Add(1); x.config.MaxActive > 0 && active > int64(x.config.MaxActive) {
		x.active.Add(-1)
		x.counts[skipped].Add(1)
		return next(ctx, call)
	}
	return x.inject(ctx, call, next, all)
}

// inject runs a call with the faults of rules. It is active as long as it may get further ones: a delayed stream must
// not take the place of others for days.
func (x *Interceptor) inject(ctx context.Context, call *hauberk.Call, next hauberk.Next, all []chosen) error {
	ended := sync.OnceFunc(func() { x.active.Add(-1) })
	defer ended()
	in := &injection{x: x, ctx: ctx, call: call}
	for i := range all {
		if err := in.before(&all[i]); err != nil {
			call.SetSent() // as if the server had ended it
			return err
		}
	}
	if !in.lasts {
		ended()
	}
	err := next(ctx, call)
	for i := 0; err == nil && i < len(in.after); i++ {
		err = in.after[i]()
	}
	return err
}

// wait delays a call, or a message. It returns the status for the end of the context.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}
