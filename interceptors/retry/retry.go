package retry

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/engine/backoff"
	"github.com/hauberk-rpc/hauberk/internal/idempotency"
	"github.com/hauberk-rpc/hauberk/internal/options"
	"github.com/hauberk-rpc/hauberk/internal/pushback"
	"github.com/hauberk-rpc/hauberk/retrybudget"
)

// Attempt is the key of the number of the current attempt in a call's state, from 1.
var Attempt = hauberk.NewAttemptKey[int]("attempt")

// Interceptor retries failed calls of a client. Make it with [New]. It is safe for
// concurrent use by any number of chains.
type Interceptor struct {
	config  Config
	rules   rules // of calls without options
	methods idempotency.Methods
	backoff *backoff.Backoff
	budget  *retrybudget.Budget // nil with Config.NoBudget
	resume  ResumeFunc          // nil without WithResume
	random  func() float64
	sleep   func(ctx context.Context, d time.Duration) error
	caller  pushback.Caller
	err     error
}

// New returns an interceptor for clients. hauberk.New reports errors of the configuration
// and nil options.
func New(config Config, opts ...Option) *Interceptor {
	r := &Interceptor{config: config.withDefaults(), sleep: Sleep}
	nils := options.Apply(opts, func(o Option) { o.apply(r) })
	if r.random == nil {
		r.random = rand.Float64
	}
	r.rules = rules{r.config.MaxAttempts, r.config.RetryableStatusCodes, r.config.PerAttemptTimeout}
	bad := r.methods.Parse("retry", r.config.Methods, r.config.AllMethods)
	r.err = errors.Join(r.config.check(), bad, nils, r.err, r.makeBudget())
	if r.sleep == nil {
		r.err = errors.Join(r.err, errors.New("the function of WithSleep is nil"))
	}
	if r.err == nil {
		r.backoff, r.err = backoff.New(backoff.Config{
			Initial: r.config.InitialBackoff, Max: r.config.MaxBackoff,
			Multiplier: r.config.BackoffMultiplier, Random: r.random,
			Jitter: r.config.Jitter, FullJitter: r.config.FullJitter,
		})
	}
	return r
}

// makeBudget makes the budget, unless an option has given one or there is none. It returns what is
// wrong with it.
func (r *Interceptor) makeBudget() error {
	switch {
	case r.budget != nil && r.config.NoBudget:
		return errors.New("WithBudget with Config.NoBudget; want one of them")
	case r.budget == nil && !r.config.NoBudget:
		r.budget = retrybudget.New(retrybudget.Config{})
	}
	return r.budget.Err()
}

// Declare returns the interceptor's declaration, with the errors of its configuration.
func (r *Interceptor) Declare() hauberk.Declaration {
	err := r.err
	if r.backoff == nil && err == nil {
		err = errors.New("a zero retry.Interceptor; make it with retry.New")
	}
	return hauberk.Declaration{
		Name: "retry", Phase: hauberk.PhaseRetry, Sides: hauberk.OnlyClients,
		Writes: []hauberk.StateKey{Attempt}, Settings: r.methods.Settings, Err: err,
	}
}

// Intercept makes attempts until one succeeds or must not be retried.
func (r *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	Attempt.Set(call, 1)
	if !r.handles(call) {
		return next(ctx, call)
	}
	s := sequence{ctx: ctx}
	if s.err = r.prepare(call, &s); s.err != nil {
		return s.err
	}
	r.budget.Call()
	for {
		if s.rules.timeout == 0 {
			s.err = next(s.ctx, call)
		} else {
			r.attempt(call, next, &s)
		}
		if s.err == nil {
			r.budget.Success()
			return nil
		}
		if !r.goesOn(call, &s) {
			return s.err
		}
	}
}

// sequence is the attempts of one call.
type sequence struct {
	ctx     context.Context //nolint:containedctx // on the stack of Intercept, which is small by this
	rules   *rules
	resume  *resumption // nil if the call is not resumed
	err     error       // of the last attempt
	failed  int         // how many attempts have failed before the last one
	waits   int         // how many waits have grown so far
	expired bool        // the per-attempt timeout has ended the last attempt
}

// handles reports whether calls of the method can be retried.
func (r *Interceptor) handles(call *hauberk.Call) bool {
	if call.Kind().ClientStreams() && r.config.MaxReplayBytes == 0 {
		return false
	}
	return r.methods.Include(call.Method())
}

// prepare finds the rules of the call, and asks it for what retries need. It returns what is wrong
// with the rules that its options ask for.
func (r *Interceptor) prepare(call *hauberk.Call, s *sequence) error {
	s.rules = &r.rules
	if len(call.Options()) > 0 {
		var err error
		if s.rules, err = r.rules.of(call); err != nil {
			return err
		}
	}
	if s.rules.timeout > 0 && !r.config.RetryAfterHeader {
		call.CommitOnHeader()
	}
	if s.rules.attempts > 1 {
		call.CaptureMetadata()
		if r.resume != nil && call.Kind() == hauberk.ServerStream {
			s.resume = newResumption(call)
		}
		if r.config.MaxReplayBytes > 0 {
			call.Replayable(r.config.MaxReplayBytes)
		}
	}
	return nil
}

// kept returns whether the requests that were sent are kept for another attempt. The chain
// always keeps a single request.
func (r *Interceptor) kept(call *hauberk.Call, rules *rules) func() bool {
	if call.Kind().ClientStreams() && (r.config.MaxReplayBytes == 0 || rules.attempts <= 1) {
		return func() bool { return false }
	}
	return call.Replayable(r.config.MaxReplayBytes)
}
