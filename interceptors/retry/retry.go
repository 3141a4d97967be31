package retry

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/engine/backoff"
	"github.com/hauberk-rpc/hauberk/internal/options"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// Attempt is the key of the number of the current attempt in a call's state, from 1.
var Attempt = hauberk.NewAttemptKey[int]("attempt")

// Interceptor retries failed calls of a client. Make it with [New]. It is safe for
// concurrent use by any number of chains.
type Interceptor struct {
	config  Config
	methods pattern.Set
	policy  map[string]stated // by full name; nil without WithPolicy
	backoff *backoff.Backoff
	random  func() float64
	sleep   func(ctx context.Context, d time.Duration) error
	err     error
}

// New returns an interceptor for clients. hauberk.New reports errors of the configuration
// and nil options.
func New(config Config, opts ...Option) *Interceptor {
	r := &Interceptor{config: config.withDefaults(), sleep: Sleep}
	nils := options.Apply(opts, func(o Option) { o.apply(r) })
	methods, bad := r.config.methods()
	r.methods = methods
	r.err = errors.Join(r.config.check(), bad, nils)
	if r.sleep == nil {
		r.err = errors.Join(r.err, errors.New("the function of WithSleep is nil"))
	}
	if r.err == nil {
		r.backoff, r.err = backoff.New(backoff.Config{
			Initial: r.config.InitialBackoff, Max: r.config.MaxBackoff,
			Multiplier: r.config.BackoffMultiplier, Jitter: r.config.Jitter, Random: r.random,
		})
	}
	return r
}

// Declare returns the interceptor's declaration, with the errors of its configuration.
func (r *Interceptor) Declare() hauberk.Declaration {
	err := r.err
	if r.backoff == nil && err == nil {
		err = errors.New("a zero retry.Interceptor; make it with retry.New")
	}
	d := hauberk.Declaration{
		Name: "retry", Phase: hauberk.PhaseRetry, Sides: hauberk.OnlyClients,
		Writes: []hauberk.StateKey{Attempt}, Err: err,
	}
	if r.policy != nil {
		d.Settings = r.settings
	}
	return d
}

// Intercept makes attempts until one succeeds or must not be retried.
func (r *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	Attempt.Set(call, 1)
	if !r.handles(call) {
		return next(ctx, call)
	}
	attempts := r.prepare(call)
	for n, waits := 1, 0; ; n++ {
		var err error
		var expired bool
		if r.config.PerAttemptTimeout == 0 {
			err = next(ctx, call)
		} else {
			err, expired = r.attempt(ctx, call, next)
		}
		if err == nil || n >= attempts || ctx.Err() != nil || !expired && !r.retryable(err) || r.committed(call) {
			return err
		}
		if waits, err = r.wait(ctx, call, err, waits); err != nil {
			return err
		}
		Attempt.Set(call, n+1)
	}
}

// wait waits until the next attempt. It returns the outcome of the call if there is none.
//
//go:noinline // its variables would be on the stack of Intercept as long as the call runs
func (r *Interceptor) wait(ctx context.Context, call *hauberk.Call, failure error, waits int) (int, error) {
	asked, final := serverDelay(call, failure)
	if final || asked.longest() > r.config.MaxServerDelay {
		return waits, failure
	}
	waits = asked.count(waits)
	switch waiting := r.sleep(ctx, asked.wait(r.backoff, waits)); {
	case errors.Is(waiting, context.Canceled):
		return waits, waiting
	case waiting != nil:
		return waits, failure
	default:
		return waits, nil
	}
}

// handles reports whether calls of the method can be retried.
func (r *Interceptor) handles(call *hauberk.Call) bool {
	if call.Kind().ClientStreams() && r.config.MaxReplayBytes == 0 {
		return false
	}
	m := call.Method()
	if r.config.AllMethods || r.methods.Matches(m.Service(), m.Name()) {
		return true
	}
	if s, ok := r.policy[m.FullName()]; ok {
		return s.idempotent
	}
	return m.Idempotent()
}

// prepare asks the call for what retries need, and returns how many attempts it may make.
func (r *Interceptor) prepare(call *hauberk.Call) int {
	if r.config.PerAttemptTimeout > 0 && !r.config.RetryAfterHeader {
		call.CommitOnHeader()
	}
	attempts := r.attempts(call)
	if attempts > 1 {
		call.CaptureMetadata()
		if r.config.MaxReplayBytes > 0 {
			call.Replayable(r.config.MaxReplayBytes)
		}
	}
	return attempts
}

// attempts returns how many attempts a call may make.
func (r *Interceptor) attempts(call *hauberk.Call) int {
	if slices.ContainsFunc(call.Options(), isDisabled) {
		return 1
	}
	return r.config.MaxAttempts
}

// kept returns whether the requests that were sent are kept for another attempt. The chain
// always keeps a single request.
func (r *Interceptor) kept(call *hauberk.Call) func() bool {
	if call.Kind().ClientStreams() && (r.config.MaxReplayBytes == 0 || r.attempts(call) <= 1) {
		return func() bool { return false }
	}
	return call.Replayable(r.config.MaxReplayBytes)
}

func isDisabled(o grpc.CallOption) bool {
	_, ok := o.(disabled)
	return ok
}

func (r *Interceptor) retryable(err error) bool {
	return slices.Contains(r.config.RetryableStatusCodes, hauberk.CodeOf(err))
}

// committed reports whether no attempt can follow the last one: its response header has
// arrived (gRFC A6), or next would not make another.
func (r *Interceptor) committed(call *hauberk.Call) bool {
	return !r.config.RetryAfterHeader && call.Header() != nil || !call.CanAttempt()
}
