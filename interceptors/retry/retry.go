package retry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/engine/backoff"
	"github.com/hauberk-rpc/hauberk/internal/options"
	"github.com/hauberk-rpc/hauberk/internal/wrongside"
)

// The defaults of [Config].
const (
	DefaultMaxAttempts    = 3
	DefaultInitialBackoff = 100 * time.Millisecond
	DefaultMaxBackoff     = 5 * time.Second
	DefaultMultiplier     = 2
	DefaultJitter         = 0.2
)

// Attempt is where the number of the attempt stands in a call's state, from 1.
var Attempt = hauberk.NewKey[int]("attempt")

// Config says what is attempted again, and when. The zero value makes up to three
// attempts of calls that fail with UNAVAILABLE.
type Config struct {
	// MaxAttempts is how often a call is made at most, the first time included; 1
	// turns retries off. The default is DefaultMaxAttempts.
	MaxAttempts int
	// RetryableStatusCodes are the codes of attempts that are made again. The
	// default is UNAVAILABLE alone.
	RetryableStatusCodes []codes.Code
	// InitialBackoff is the wait after the first attempt, which is multiplied by
	// BackoffMultiplier for each further one, up to MaxBackoff. The defaults are
	// DefaultInitialBackoff, DefaultMultiplier and DefaultMaxBackoff.
	InitialBackoff    time.Duration
	MaxBackoff        time.Duration
	BackoffMultiplier float64
	// Jitter is by how much of itself a wait is longer or shorter, at random: 0 to
	// 1. The default is DefaultJitter; NoJitter turns it off.
	Jitter   float64
	NoJitter bool
	// PerAttemptTimeout bounds each attempt: of a unary call until its end, of a stream
	// until the application has been given the response header or a message. From then
	// on no other attempt is possible, and only the caller's own deadline counts. With
	// it, an attempt that ends with DEADLINE_EXCEEDED before the caller's own deadline
	// is made again. 0 is no bound.
	//
	// The server of a unary call is sent the earlier of the two deadlines, that of a
	// stream the caller's.
	PerAttemptTimeout time.Duration
	// MaxReplayBytes is how much of a stream of requests is kept to be sent again,
	// in bytes as protobuf encodes it. 0 keeps nothing: such calls pass.
	MaxReplayBytes int
}

// Retry makes failed calls again. It is safe for concurrent use by any number of
// chains.
type Retry struct {
	config  Config
	backoff *backoff.Backoff
	random  func() float64
	sleep   func(ctx context.Context, d time.Duration) error
	err     error
}

// Option changes what a [Retry] depends on.
type Option interface{ apply(r *Retry) }

type option func(r *Retry)

func (f option) apply(r *Retry) { f(r) }

// WithSleep waits by sleep, in place of a timer: it returns nil after d, and an
// error if ctx ends first, or would. It must be safe for concurrent use.
func WithSleep(sleep func(ctx context.Context, d time.Duration) error) Option {
	return option(func(r *Retry) { r.sleep = sleep })
}

// WithRandom takes jitter from random, numbers from 0 up to 1, in place of
// math/rand/v2. It must be safe for concurrent use.
func WithRandom(random func() float64) Option {
	return option(func(r *Retry) { r.random = random })
}

// New returns an interceptor for clients. What is wrong with its configuration is
// reported by hauberk.New.
func New(config Config, opts ...Option) *Retry {
	r := &Retry{config: config.withDefaults(), sleep: Sleep}
	nils := options.Apply(opts, func(o Option) { o.apply(r) })
	r.err = errors.Join(r.config.check(), nils)
	if r.sleep == nil {
		r.err = errors.Join(r.err, errors.New("WithSleep was given nil"))
	}
	var err error
	r.backoff, err = backoff.New(backoff.Config{
		Initial: r.config.InitialBackoff, Max: r.config.MaxBackoff,
		Multiplier: r.config.BackoffMultiplier, Jitter: r.config.Jitter, Random: r.random,
	})
	r.err = errors.Join(r.err, err)
	return r
}

func (c Config) withDefaults() Config {
	if c.MaxAttempts == 0 {
		c.MaxAttempts = DefaultMaxAttempts
	}
	if c.InitialBackoff == 0 {
		c.InitialBackoff = DefaultInitialBackoff
	}
	if c.MaxBackoff == 0 {
		c.MaxBackoff = max(DefaultMaxBackoff, c.InitialBackoff)
	}
	if c.BackoffMultiplier == 0 {
		c.BackoffMultiplier = DefaultMultiplier
	}
	if c.Jitter == 0 && !c.NoJitter {
		c.Jitter = DefaultJitter
	}
	if c.RetryableStatusCodes == nil {
		c.RetryableStatusCodes = []codes.Code{codes.Unavailable}
	}
	return c
}

func (c Config) check() error {
	var errs []error
	if c.MaxAttempts < 1 {
		errs = append(errs, fmt.Errorf("MaxAttempts is %d; want at least 1", c.MaxAttempts))
	}
	if c.PerAttemptTimeout < 0 {
		errs = append(errs, fmt.Errorf("PerAttemptTimeout is %v; want 0 for none, or more", c.PerAttemptTimeout))
	}
	if c.MaxReplayBytes < 0 {
		errs = append(errs, fmt.Errorf("MaxReplayBytes is %d; want at least 0", c.MaxReplayBytes))
	}
	for _, code := range c.RetryableStatusCodes {
		if code == codes.OK || code > codes.Unauthenticated {
			errs = append(errs, fmt.Errorf("RetryableStatusCodes has %v; want codes of errors", code))
		}
	}
	return errors.Join(errs...)
}

// Declare says where the interceptor stands, and what is wrong with its
// configuration.
func (r *Retry) Declare() hauberk.Declaration {
	err := r.err
	if r.backoff == nil && err == nil {
		err = errors.New("a zero Retry; make it with retry.New")
	}
	return hauberk.Declaration{
		Name: "retry", Phase: hauberk.PhaseRetry, Writes: []hauberk.StateKey{Attempt}, Err: err,
	}
}

// disabled is the option of [Disable].
type disabled struct{ grpc.EmptyCallOption }

// Disable is a call option: the call is made once.
func Disable() grpc.CallOption { return disabled{} }

func (r *Retry) maxAttempts(call *hauberk.Call) int {
	for _, o := range call.Options() {
		if _, ok := o.(disabled); ok {
			return 1
		}
	}
	return r.config.MaxAttempts
}

// Intercept makes attempts until one succeeds, or none is to follow.
func (r *Retry) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if call.Side() == hauberk.ServerSide {
		return errServer
	}
	Attempt.Set(call, 1)
	if call.Kind().ClientStreams() && r.config.MaxReplayBytes == 0 {
		return next(ctx, call)
	}
	attempts := r.maxAttempts(call)
	if attempts > 1 && r.config.MaxReplayBytes > 0 {
		call.Replayable(r.config.MaxReplayBytes)
	}
	for n := 1; ; n++ {
		err, expired := r.attempt(ctx, call, next)
		if err == nil || n >= attempts || !expired && !r.retryable(err) || ctx.Err() != nil || !call.CanAttempt() {
			return err
		}
		if waiting := r.sleep(ctx, r.backoff.Delay(n)); errors.Is(waiting, context.Canceled) {
			return waiting
		} else if waiting != nil {
			return err
		}
		Attempt.Set(call, n+1)
	}
}

var errServer = wrongside.ForClients("retry.New")

func (r *Retry) retryable(err error) bool {
	return slices.Contains(r.config.RetryableStatusCodes, hauberk.CodeOf(err))
}

// attempt makes one attempt, and reports whether its own timeout ended it.
//
//nolint:revive // the error is the outcome of next, not a failure of attempt
func (r *Retry) attempt(ctx context.Context, call *hauberk.Call, next hauberk.Next) (err error, expired bool) {
	switch {
	case r.config.PerAttemptTimeout == 0:
		return next(ctx, call), false
	case call.Kind() == hauberk.Unary:
		bounded, cancel := context.WithTimeout(ctx, r.config.PerAttemptTimeout)
		defer cancel()
		err = next(bounded, call)
	default:
		err = r.attemptStream(ctx, call, next)
	}
	// The server may have been the first to see the time run out.
	return err, ctx.Err() == nil && hauberk.CodeOf(err) == codes.DeadlineExceeded
}

var errTimeout = status.Error(codes.DeadlineExceeded, "retry: the attempt took longer than PerAttemptTimeout")

// attemptStream makes one attempt of a stream, which it cancels after PerAttemptTimeout
// unless the application has been given a part of the response by then. A deadline in
// the context could not be taken back.
func (r *Retry) attemptStream(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	bounded, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(r.config.PerAttemptTimeout, func() {
		if !call.Committed() {
			cancel(errTimeout)
		}
	})
	defer timer.Stop()
	err := next(bounded, call)
	if hauberk.CodeOf(err) == codes.Canceled && errors.Is(context.Cause(bounded), errTimeout) {
		return errTimeout
	}
	return err
}

// Sleep waits for d. It returns the error of ctx if that ends first, and at once
// context.DeadlineExceeded if its deadline would.
func Sleep(ctx context.Context, d time.Duration) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return context.DeadlineExceeded
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
