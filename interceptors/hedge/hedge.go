package hedge

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/clock"
	"github.com/hauberk-rpc/hauberk/internal/engine/keyed"
	"github.com/hauberk-rpc/hauberk/internal/idempotency"
	"github.com/hauberk-rpc/hauberk/internal/options"
	"github.com/hauberk-rpc/hauberk/internal/pushback"
	"github.com/hauberk-rpc/hauberk/retrybudget"
)

// Attempt is the key of the number of an attempt, from 1. Each attempt of a call has its own
// value, in the state of its [hauberk.Call]. After the call it is the number of the attempt
// that ended the call.
var Attempt = hauberk.NewAttemptKey[int]("hedge attempt")

// Interceptor hedges the calls of a client. Make it with [New]. It is safe for concurrent use
// by any number of chains, which then share its budget and latencies.
type Interceptor struct {
	config  Config
	methods idempotency.Methods
	budget  *retrybudget.Budget // nil without one
	shares  bool                // WithBudget was given
	made    bool                // by New
	now     func() time.Duration
	latency *keyed.Map[latency] // by full name of the method; nil without DelayQuantile
	caller  pushback.Caller
	err     error
}

// New returns an interceptor for clients. hauberk.New reports errors of the configuration
// and nil options.
func New(config Config, opts ...Option) *Interceptor {
	h := &Interceptor{config: config.withDefaults(), made: true, now: clock.Elapsed(nil)}
	nils := options.Apply(opts, func(o Option) { o.apply(h) })
	bad := h.methods.Parse("hedge", config.Methods, config.AllMethods)
	h.err = errors.Join(h.config.check(config), bad, h.setBudget(), h.err, nils)
	if h.err == nil && config.DelayQuantile > 0 {
		h.latency, h.err = keyed.New(keyed.Config{MaxKeys: maxMethods}, h.setup)
	}
	return h
}

// setBudget sets the default budget, and returns what is wrong with the one that is used.
func (h *Interceptor) setBudget() error {
	switch {
	case h.shares && h.config.NoBudget:
		return errors.New("NoBudget is set, and WithBudget is given; want one of them")
	case !h.shares && !h.config.NoBudget:
		h.budget = retrybudget.New(retrybudget.Config{})
	}
	return h.budget.Err()
}

// Declare returns the interceptor's declaration, with the errors of its configuration.
func (h *Interceptor) Declare() hauberk.Declaration {
	err := h.err
	if !h.made {
		err = errors.New("a zero hedge.Interceptor; make it with hedge.New")
	}
	return hauberk.Declaration{
		Name: "hedge", Phase: hauberk.PhaseRetry, Sides: hauberk.OnlyClients,
		Writes: []hauberk.StateKey{Attempt}, Settings: h.methods.Settings, Err: err,
	}
}

// Intercept makes attempts until one of them ends the call.
func (h *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	Attempt.Set(call, 1)
	if !h.handles(call) {
		return next(ctx, call)
	}
	return h.race(ctx, call, next)
}

// handles reports whether a call is hedged.
func (h *Interceptor) handles(call *hauberk.Call) bool {
	return h.config.MaxAttempts > 1 && !call.Kind().ClientStreams() && h.methods.Include(call.Method()) &&
		!slices.ContainsFunc(call.Options(), isDisabled)
}

// race hedges a call.
func (h *Interceptor) race(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	call.CaptureMetadata() // for the pushback
	h.budget.Call()
	r := &race{hedge: h, parent: ctx, call: call, next: next, outcomes: make(chan outcome), began: time.Now()}
	r.ctx, r.cancel = context.WithCancel(ctx)
	defer r.cancel()
	r.latency = h.latencyOf(call)
	r.delay = h.delay(r.latency)
	return r.run()
}
