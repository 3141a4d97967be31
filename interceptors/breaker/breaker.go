package breaker

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/clock"
	"github.com/hauberk-rpc/hauberk/internal/engine/breaker"
	"github.com/hauberk-rpc/hauberk/internal/engine/keyed"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// State is the state of a circuit: Closed, Open or HalfOpen.
type State = breaker.State

// The states of a circuit.
const (
	Closed   = breaker.Closed
	Open     = breaker.Open
	HalfOpen = breaker.HalfOpen
)

// Interceptor is a circuit breaker for the calls of a client. Make it with [New]. It is
// safe for concurrent use by any number of chains, which then share its circuits.
type Interceptor struct {
	config   Config
	engine   breaker.Config
	failures [codes.Unauthenticated + 1]bool
	now      func() time.Duration
	onChange func(Change)
	circuits *keyed.Map[circuit]
	err      error
}

// circuit is the circuit of a service, method or target.
type circuit struct {
	*breaker.Breaker

	failure atomic.Pointer[error] // the last one
}

// keep keeps the last failure.
func (c *circuit) keep(err error) { c.failure.Store(&err) }

// New returns an interceptor for clients. hauberk.New reports errors of the configuration
// and nil options.
func New(config Config, opts ...Option) *Interceptor {
	b := &Interceptor{config: config.withDefaults(), now: clock.Elapsed(nil)}
	nils := options.Apply(opts, func(o Option) { o.apply(b) })
	b.engine = breaker.Config{
		FailureThreshold: b.config.FailureThreshold,
		OpenFor:          b.config.OpenFor,
		HalfOpenMaxCalls: b.config.HalfOpenMaxCalls,
		ProbeTimeout:     b.config.ProbeTimeout,
		EstablishedAfter: b.config.EstablishedAfter,
	}
	b.err = errors.Join(b.err, nils, config.check())
	if b.err != nil {
		return b
	}
	circuits, err := keyed.New(keyed.Config{MaxKeys: b.config.MaxCircuits}, b.setup)
	b.circuits, b.err = circuits, errors.Join(err, b.engine.Validate())
	for _, code := range b.config.FailureCodes {
		b.failures[code] = true
	}
	return b
}

// setup prepares a new circuit.
func (b *Interceptor) setup(key string, c *circuit) {
	config := b.engine
	if b.onChange != nil {
		config.OnChange = func(change breaker.Change) {
			b.onChange(Change{Circuit: key, From: change.From, To: change.To, Failures: change.Failures})
		}
	}
	c.Breaker = breaker.New(config)
}

// Declare returns the interceptor's declaration, with the errors of its configuration.
func (b *Interceptor) Declare() hauberk.Declaration {
	err := b.err
	if b.circuits == nil && err == nil {
		err = errors.New("a zero breaker.Interceptor; make it with breaker.New")
	}
	return hauberk.Declaration{
		Name: "breaker", Phase: hauberk.PhaseBreaker, Sides: hauberk.OnlyClients, Decides: true, Err: err,
	}
}

// Intercept rejects a call, or admits it and counts its outcome.
func (b *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	var permit breaker.Permit
	c, err := b.admit(call, &permit)
	if err != nil {
		return err
	}
	if call.Kind().ServerStreams() {
		call.CaptureMetadata() // for hasAnswered
	}
	hurried := b.isHurried(ctx)
	return hauberk.Observe(ctx, call, next, func(err error) {
		outcome := b.judge(call, err, hurried)
		if outcome == breaker.Failure {
			c.keep(err)
		}
		switch {
		case outcome == breaker.Success:
			permit.Done(0, outcome) // the time does not matter, and is expensive to read
		case hasAnswered(call) && err != hauberk.ErrUnwound: //nolint:errorlint // as in judge
			permit.DoneAnswered(b.now(), outcome)
		default:
			permit.Done(b.now(), outcome)
		}
	})
}

// hasAnswered reports whether a stream that has ended had received a response header or a
// message.
func hasAnswered(call *hauberk.Call) bool {
	return call.Kind().ServerStreams() && (call.Received() > 0 || call.Header() != nil)
}

// admit returns the circuit of a call and stores its permit, or returns the rejection.
//
//go:noinline // its variables would be on the stack of Intercept as long as the call runs
func (b *Interceptor) admit(call *hauberk.Call, permit *breaker.Permit) (c *circuit, err error) {
	key := b.config.By.key(call)
	now := b.now()
	c = b.circuits.Get(key, now)
	if *permit, err = c.Allow(now); err != nil {
		err = c.reject(call, key, err)
		return c, err
	}
	if permit.IsProbe() && call.Kind().ServerStreams() {
		permit.Watch(func() bool { return call.Received() > 0 })
	}
	return c, nil
}

// isHurried reports whether a call gives its server less time than MinTimeout.
func (b *Interceptor) isHurried(ctx context.Context) bool {
	if b.config.MinTimeout == 0 {
		return false
	}
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < b.config.MinTimeout
}

// judge returns what the outcome of a call says about the server.
func (b *Interceptor) judge(call *hauberk.Call, err error, hurried bool) breaker.Outcome {
	switch {
	case call.Unsent():
		return breaker.Neutral
	case err == nil:
		return breaker.Success
	case err == hauberk.ErrUnwound: //nolint:errorlint // Observe passes it as it is
		return breaker.Failure // whether or not INTERNAL is a failure
	}
	if _, rejected := errors.AsType[*hauberk.Rejection](err); rejected {
		return breaker.Neutral
	}
	code := hauberk.CodeOf(err)
	switch {
	case code == codes.Canceled, code == codes.DeadlineExceeded && (hurried || hasAnswered(call)):
		return breaker.Neutral
	case int(code) < len(b.failures) && b.failures[code]:
		return breaker.Failure
	default:
		return breaker.Success
	}
}

// States returns the state of each circuit, by the name of its service, method or target.
// An open circuit whose time has passed is reported as open until its next call. Safe for
// concurrent use.
func (b *Interceptor) States() map[string]State {
	states := make(map[string]State)
	if b.circuits == nil { // the configuration is wrong
		return states
	}
	for key, c := range b.circuits.All() {
		states[key] = c.Snapshot().State
	}
	return states
}

// Failures returns the number of consecutive failures of each circuit, by the names that
// [Interceptor.States] returns. Safe for concurrent use.
func (b *Interceptor) Failures() map[string]int {
	failures := make(map[string]int)
	if b.circuits == nil {
		return failures
	}
	for key, c := range b.circuits.All() {
		failures[key] = c.Snapshot().Failures
	}
	return failures
}
