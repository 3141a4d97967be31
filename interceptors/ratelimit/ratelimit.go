package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/options"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
	"github.com/hauberk-rpc/hauberk/internal/quota"
)

const name = "ratelimit"

// Interceptor limits calls. Make it with [New]. It may be used by any number of chains at
// once, of servers and of clients, which then share the quotas.
type Interceptor struct {
	config   Config
	limits   []limit
	messages bool                       // some limit counts messages
	charges  bool                       // handlers charge some limit
	passed   hauberk.Key[*hauberk.Call] // of calls that came through the interceptor, if it charges
	queues   queues
	clock    func() time.Duration
	mu       sync.Mutex // held while permits of several limits are taken
	log      *slog.Logger
	store    Store
	shared   *shared // nil if the quotas are in memory
	id       string  // Limit.ID
	settings func(method string) []hauberk.Setting
	err      error
}

// limit is one of the limits of an interceptor.
type limit struct {
	config   Config
	prices   prices
	memory   *quota.Memory
	own      rejection // of calls that are counted by their key
	fallback rejection // of calls that are counted by their peer
}

// New returns an interceptor for both sides. hauberk.New reports what is wrong with its
// configuration.
func New(config Config, opts ...Option) *Interceptor {
	x := &Interceptor{config: config.withDefaults(), clock: quota.Clock(nil), log: slog.Default()}
	nils := options.Apply(opts, func(o Option) { o.apply(x) })
	x.err = errors.Join(x.config.check(), x.err, nils)
	if x.err != nil {
		return x
	}
	limits, nodes := x.config.limits(), x.config.Shared.withDefaults().Nodes
	for i := range limits {
		c := limits[i]
		l := limit{config: c, prices: newPrices(c.Cost)}
		if l.memory, x.err = newMemory(c, nodes, x.config.MaxKeys); x.err != nil {
			return x
		}
		rule, kind := c.rule(), c.By.Name()
		l.own = newRejection(kind, rule+kind)
		l.fallback = newRejection("peer", rule+"peer, without "+kind)
		if c.By.IsPeer() {
			l.fallback = l.own
		}
		x.limits = append(x.limits, l)
		x.messages = x.messages || c.Cost.counts()
		x.charges = x.charges || c.Cost.Charged
	}
	x.passed = hauberk.NewKey[*hauberk.Call](name)
	x.err = x.share()
	return x
}

// Declare describes the interceptor to the checks of a chain.
func (x *Interceptor) Declare() hauberk.Declaration {
	d := hauberk.Declaration{
		Name: name, Phase: hauberk.PhaseCoarseLimit, Decides: true, Settings: x.settings, Err: x.err,
		Unmatched: x.unmatched, Invalid: x.invalid, Abstains: x.abstains,
	}
	limits := x.config.limits()
	kinds := make([]string, 0, len(limits))
	for i := range limits {
		by, cost := &limits[i].By, limits[i].Cost.reads()
		kinds = append(kinds, by.Name())
		d.Reads = append(append(d.Reads, by.Reads()...), cost...)
		if !by.IsPeer() || len(cost) > 0 {
			d.Phase = hauberk.PhaseLimit
		}
	}
	d.Detail = strings.Join(kinds, ", ")
	if x.clock == nil {
		d.Err = errors.New("a zero Interceptor has no limit; make one with ratelimit.New")
	}
	return d
}

// abstains reports whether no limit counts calls of a method.
func (x *Interceptor) abstains(m *hauberk.Method) bool {
	return m.Public() && !slices.ContainsFunc(x.config.limits(), func(l Config) bool { return !l.By.SparesPublic() })
}

// unmatched lists the patterns of costs that match none of the methods.
func (x *Interceptor) unmatched(methods []*hauberk.Method) []string {
	index := pattern.IndexOf(methods)
	all := x.config.Cost.unmatched("ratelimit.Config.", index)
	for i := range x.config.Also {
		all = append(all, x.config.Also[i].Cost.unmatched(fmt.Sprintf("ratelimit.Config.Also[%d].", i), index)...)
	}
	return all
}

// invalid returns what is wrong with the keys and the costs for the methods of a server.
func (x *Interceptor) invalid(methods []*hauberk.Method) []string {
	all := x.config.invalid("ratelimit.Config.", methods)
	for i := range x.config.Also {
		all = append(all, x.config.Also[i].invalid(fmt.Sprintf("ratelimit.Config.Also[%d].", i), methods)...)
	}
	return all
}

// Intercept takes permits for the call, or rejects it if there are none.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if !x.messages && !x.charges && x.config.Headers == NoHeaders {
		if err := x.admit(ctx, call, nil); err != nil {
			return err
		}
		return next(ctx, call)
	}
	var s outcome
	if err := x.admit(ctx, call, &s); err != nil {
		return err
	}
	return x.during(ctx, call, next, &s)
}
