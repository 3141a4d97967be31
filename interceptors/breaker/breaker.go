package breaker

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/clock"
	"github.com/hauberk-rpc/hauberk/internal/engine/breaker"
	"github.com/hauberk-rpc/hauberk/internal/engine/keyed"
	"github.com/hauberk-rpc/hauberk/internal/news"
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

// Mode is whether a circuit changes by itself, or an operator has forced its state.
type Mode = breaker.Mode

// The modes of a circuit.
const (
	Automatic    = breaker.Automatic
	ForcedOpen   = breaker.ForcedOpen
	ForcedClosed = breaker.ForcedClosed
)

// Outcome is what a call says about its server. Any other value is Neutral.
type Outcome = breaker.Outcome

// The outcomes of calls. A Neutral one counts for nothing.
const (
	Neutral = breaker.Neutral
	Success = breaker.Success
	Failure = breaker.Failure
)

// Counts are the calls in a window: all, those that failed, and those that took SlowAfter or longer.
type Counts = breaker.Counts

// Interceptor is a circuit breaker for the calls of a client. Make it with [New]. It is
// safe for concurrent use by any number of chains, which then share its circuits.
type Interceptor struct {
	config   Config
	engine   breaker.Config
	failures [codes.Unauthenticated + 1]bool
	now      func() time.Duration
	outcome  func(call *hauberk.Call, err error, usual Outcome) Outcome
	fallback func(ctx context.Context, call *hauberk.Call, rejection error) error
	onChange func(Change)
	byName   *keyed.Map[circuit] // by service, method or target
	byKey    *keyed.Map[circuit] // nil without Config.Key
	near     near                // of byName
	err      error

	forced    forced
	news      news.News[Change]
	changes   [HalfOpen + 1]atomic.Uint64 // by the new state
	fallbacks atomic.Uint64
}

// New returns an interceptor for clients. hauberk.New reports errors of the configuration
// and nil options.
func New(config Config, opts ...Option) *Interceptor {
	b := &Interceptor{config: config, now: clock.Elapsed(nil)}
	b.config.withDefaults()
	nils := options.Apply(opts, func(o Option) { o.apply(b) })
	b.err = errors.Join(b.err, nils, config.check())
	if b.err != nil {
		return b
	}
	if b.engine, b.err = b.config.circuit(); b.err != nil {
		return b
	}
	b.err = b.makeTables()
	for _, code := range b.config.FailureCodes {
		b.failures[code] = true
	}
	return b
}

// Declare returns the interceptor's declaration, with the errors of its configuration.
func (b *Interceptor) Declare() hauberk.Declaration {
	err := b.err
	if b.byName == nil && err == nil {
		err = errors.New("a zero breaker.Interceptor; make it with breaker.New")
	}
	return hauberk.Declaration{
		Name: "breaker", Detail: b.config.Key.Name(), Phase: hauberk.PhaseBreaker, Sides: hauberk.OnlyClients,
		Decides: true, Reads: b.config.Key.Reads(), Err: err,
		Invalid: b.invalid,
	}
}

// invalid returns what is wrong with the key for the methods of a server.
func (b *Interceptor) invalid(methods []*hauberk.Method) []string {
	return b.config.Key.Invalid("breaker.Config.Key", methods)
}

// Intercept rejects a call, or admits it and counts its outcome.
func (b *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if call.Kind().ServerStreams() && (b.config.CountAtFirstResponse || b.isTimed()) {
		return b.interceptStream(ctx, call, next)
	}
	var a admission
	if err := b.admit(ctx, call, &a); err != nil {
		return b.rejected(ctx, call, a.circuit, err)
	}
	return hauberk.Observe(ctx, call, next, func(err error) { b.end(call, &a, 0, err) })
}

// admission is what is known about a call that was admitted, until it counts.
type admission struct {
	circuit *circuit
	permit  breaker.Permit
	hurried bool // the call gave its server less time than Config.MinTimeout
}

// isTimed reports whether the duration of calls counts.
func (b *Interceptor) isTimed() bool { return b.config.SlowRatio > 0 }

// admit stores the circuit of a call and its permit, or returns the error of the engine.
//
//go:noinline // its variables would be on the stack of Intercept as long as the call runs
func (b *Interceptor) admit(ctx context.Context, call *hauberk.Call, a *admission) (err error) {
	now := b.now()
	a.circuit = b.circuitOf(ctx, call, now)
	if a.permit, err = a.circuit.Allow(now); err != nil {
		return err
	}
	if call.Kind().ServerStreams() {
		call.CaptureMetadata() // for hasAnswered
		if a.permit.IsProbe() {
			earlier := call.TotalReceived() // of attempts before this one; Received is 0 outside of concurrent ones
			a.permit.Watch(func() bool { return call.TotalReceived() > earlier })
		}
	}
	a.hurried = b.isHurried(ctx)
	return nil
}

// end counts the outcome of a call. took is the time until the first message of a stream of
// responses, or 0 if it is not known.
func (b *Interceptor) end(call *hauberk.Call, a *admission, took time.Duration, err error) {
	permit := &a.permit
	outcome := b.judge(call, a, err)
	if outcome == Failure {
		a.circuit.keep(cmp.Or(err, errResponse))
	}
	switch {
	case outcome == Success && !b.isTimed():
		permit.Done(0, outcome) // the time does not matter, and is expensive to read
	case hasAnswered(call) && err != hauberk.ErrUnwound: //nolint:errorlint // as in judge
		permit.DoneAnswered(b.now(), took, outcome)
	default:
		permit.Done(b.now(), outcome)
	}
}

// errResponse is the last failure of a circuit if the call has no error.
var errResponse = errors.New("a response that the function of WithOutcome counts as a failure")

// hasAnswered reports whether a stream that has ended had received a response header or a
// message.
func hasAnswered(call *hauberk.Call) bool {
	return call.Kind().ServerStreams() && (call.Received() > 0 || call.Header() != nil)
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
func (b *Interceptor) judge(call *hauberk.Call, a *admission, err error) Outcome {
	if call.Unsent() {
		return Neutral
	}
	usual := Success
	if err != nil {
		if err == hauberk.ErrUnwound { //nolint:errorlint // Observe passes it as it is
			return Failure // whether or not INTERNAL is a failure
		}
		if _, rejected := errors.AsType[*hauberk.Rejection](err); rejected {
			return Neutral
		}
		code := hauberk.CodeOf(err)
		if code == codes.Canceled || code == codes.DeadlineExceeded && (a.hurried || hasAnswered(call)) {
			return Neutral
		}
		if code == codes.ResourceExhausted && hauberk.MessageTooLarge(err) {
			return Neutral
		}
		if int(code) < len(b.failures) && b.failures[code] {
			usual = Failure
		}
	}
	if b.outcome == nil {
		return usual
	}
	return b.ask(call, &a.permit, err, usual)
}

// ask calls the function of WithOutcome. If it panics, the permit is returned.
//
//go:noinline // as admit
func (b *Interceptor) ask(call *hauberk.Call, permit *breaker.Permit, err error, usual Outcome) (o Outcome) {
	returned := false
	defer func() {
		if !returned {
			permit.Done(b.now(), Neutral)
		}
	}()
	o = b.outcome(call, err, usual)
	returned = true
	return o
}
