package breaker

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/clock"
	"github.com/hauberk-rpc/hauberk/internal/engine/breaker"
	"github.com/hauberk-rpc/hauberk/internal/engine/keyed"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// What errors.Is finds in the error of a rejected call.
var (
	ErrOpen     = breaker.ErrOpen
	ErrHalfOpen = breaker.ErrHalfOpen
)

// State is one of Closed, Open and HalfOpen.
type State = breaker.State

// The states of a circuit.
const (
	Closed   = breaker.Closed
	Open     = breaker.Open
	HalfOpen = breaker.HalfOpen
)

// Change is a change of a circuit's state.
type Change struct {
	Circuit  string // the service, method or target
	From, To State
	Failures int // in a row, so far
}

// Breaker stops calls to what fails. It is safe for concurrent use by any number
// of chains, which then share its circuits.
type Breaker struct {
	config   Config
	engine   breaker.Config
	failures [codes.Unauthenticated + 1]bool
	now      func() time.Duration
	onChange func(Change)
	circuits *keyed.Map[circuit]
	err      error
}

type circuit struct{ *breaker.Breaker }

// Option changes what a [Breaker] depends on.
type Option interface{ apply(b *Breaker) }

type option func(b *Breaker)

func (f option) apply(b *Breaker) { f(b) }

// WithClock reads the time from now, in place of the system's monotonic clock. It
// must be safe for concurrent use.
func WithClock(now func() time.Time) Option {
	return option(func(b *Breaker) {
		if now == nil {
			b.err = errors.New("WithClock was given nil")
			return
		}
		b.now = clock.Elapsed(now)
	})
}

// WithOnChange has changes told to f: those of one circuit in their order, on the
// goroutine of a call that is ending or beginning. It must not block.
func WithOnChange(f func(Change)) Option {
	return option(func(b *Breaker) { b.onChange = f })
}

// New returns an interceptor for clients. What is wrong with its configuration is
// reported by hauberk.New.
func New(config Config, opts ...Option) *Breaker {
	b := &Breaker{config: config.withDefaults(), now: clock.Elapsed(nil)}
	nils := options.Apply(opts, func(o Option) { o.apply(b) })
	b.engine = breaker.Config{
		FailureThreshold: b.config.FailureThreshold,
		OpenFor:          b.config.OpenFor,
		HalfOpenMaxCalls: b.config.HalfOpenMaxCalls,
		ProbeTimeout:     b.config.ProbeTimeout,
	}
	circuits, err := keyed.New(keyed.Config{MaxKeys: b.config.MaxCircuits}, b.setup)
	b.circuits = circuits
	b.err = errors.Join(b.err, nils, b.config.check(), b.engine.Validate(), err)
	if b.err == nil {
		for _, code := range b.config.FailureCodes {
			b.failures[code] = true
		}
	}
	return b
}

// setup prepares a new circuit.
func (b *Breaker) setup(key string, c *circuit) {
	config := b.engine
	if b.onChange != nil {
		config.OnChange = func(change breaker.Change) {
			b.onChange(Change{Circuit: key, From: change.From, To: change.To, Failures: change.Failures})
		}
	}
	c.Breaker = breaker.New(config)
}

// Declare says where the interceptor stands, and what is wrong with its
// configuration.
func (b *Breaker) Declare() hauberk.Declaration {
	err := b.err
	if b.circuits == nil && err == nil {
		err = errors.New("a zero Breaker; make it with breaker.New")
	}
	return hauberk.Declaration{Name: "breaker", Phase: hauberk.PhaseBreaker, Decides: true, Err: err}
}

// Intercept rejects a call, or admits it and counts how it ends.
func (b *Breaker) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	key := b.config.By.key(call)
	now := b.now()
	permit, err := b.circuits.Get(key, now).Allow(now)
	if err != nil {
		return b.reject(call, key, err)
	}
	return hauberk.Observe(ctx, call, next, func(err error) { b.done(&permit, b.judge(err)) })
}

// done gives a permit back. The time matters only to failures, and costs more to
// read than all else here.
func (b *Breaker) done(permit *breaker.Permit, outcome breaker.Outcome) {
	if outcome == breaker.Failure {
		permit.Done(b.now(), outcome)
		return
	}
	permit.Done(0, outcome)
}

// judge tells what the end of a call says of the server.
func (b *Breaker) judge(err error) breaker.Outcome {
	if err == nil {
		return breaker.Success
	}
	if err == hauberk.ErrUnwound { //nolint:errorlint // Observe passes it as it is
		return breaker.Failure // whatever codes are failures
	}
	if _, rejected := errors.AsType[*hauberk.Rejection](err); rejected {
		return breaker.Neutral
	}
	code := hauberk.CodeOf(err)
	switch {
	case code == codes.Canceled:
		return breaker.Neutral
	case int(code) < len(b.failures) && b.failures[code]:
		return breaker.Failure
	default:
		return breaker.Success
	}
}

func (b *Breaker) reject(call *hauberk.Call, key string, err error) error {
	reason := "BREAKER_OPEN"
	if errors.Is(err, ErrHalfOpen) {
		reason = "BREAKER_HALF_OPEN"
	}
	rejection := hauberk.Reject(codes.Unavailable, reason, err.Error())
	rejection.Cause = err
	var rejected *breaker.RejectedError
	if errors.As(err, &rejected) {
		rejection.RetryAfter = rejected.RetryAfter
	}
	call.Decide(hauberk.Decision{Rule: key, Verdict: hauberk.Rejected, Reason: reason})
	return rejection
}

// States returns the state of each circuit that has been used, by the name of its
// service, method or target. An open circuit whose time has passed is open until
// its next call. Safe for concurrent use.
func (b *Breaker) States() map[string]State {
	states := make(map[string]State)
	for key, c := range b.circuits.All() {
		states[key] = c.Snapshot().State
	}
	return states
}

// Failures returns how many failures in a row each circuit has had, as
// [Breaker.States] returns their states.
func (b *Breaker) Failures() map[string]int {
	failures := make(map[string]int)
	for key, c := range b.circuits.All() {
		failures[key] = c.Snapshot().Failures
	}
	return failures
}
