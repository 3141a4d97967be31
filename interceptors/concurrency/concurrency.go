package concurrency

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/clock"
	"github.com/hauberk-rpc/hauberk/internal/engine/gradient"
	"github.com/hauberk-rpc/hauberk/internal/engine/inflight"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// Interceptor limits calls in flight. Make it with [New]. It may be used by any number of
// chains at once, of servers and of clients, which then share the limits.
type Interceptor struct {
	config   Config
	now      func() time.Duration
	priority func(ctx context.Context, call *hauberk.Call) int
	methods  priorities
	probe    func() float64
	gate     *gate // nil without Load
	timed    bool  // limiters need the time

	whole    *group // of Global
	byKey    *table // of other keys
	byPeer   *table // of calls without a key
	own      subject
	fallback subject // of calls that are limited by their peer
	err      error
}

// New returns an interceptor for both sides. hauberk.New reports what is wrong with its
// configuration.
func New(config Config, opts ...Option) *Interceptor {
	x := &Interceptor{config: config.withDefaults(), now: clock.Elapsed(nil)}
	nils := options.Apply(opts, func(o Option) { o.apply(x) })
	methods, bad := config.priorities()
	x.methods = methods
	x.err = errors.Join(x.config.check(), bad, config.unused(x.priority != nil), x.err, nils)
	if x.err == nil && x.config.Load != nil {
		x.gate, x.err = newGate(*x.config.Load, x.probe, x.now)
	}
	if x.err == nil && x.config.Load == nil && x.probe != nil {
		x.err = errors.New("WithProbe has no effect without Config.Load")
	}
	x.timed = x.config.Adaptive != nil || x.config.MaxWaiting > 0 || x.config.Tenant.Name() != ""
	if x.err == nil && x.config.limits() {
		x.whole = x.newGroup()
	}
	x.byKey, x.byPeer = newTable(x.config.MaxKeys, x.newGroup), newTable(x.config.MaxKeys, x.newGroup)
	by, rule := x.config.By.Name(), x.config.rule()
	x.own = subject{rule: rule + by, by: by}
	x.fallback = subject{rule: rule + "peer, without " + by, by: "peer"}
	if x.config.By.IsPeer() {
		x.fallback = x.own
	}
	return x
}

// Declare describes the interceptor to the checks of a chain.
func (x *Interceptor) Declare() hauberk.Declaration {
	d := hauberk.Declaration{
		Name: name, Detail: x.config.By.Name(), Phase: hauberk.PhaseConcurrency, Decides: true, Err: x.err,
		Unmatched: x.methods.unmatched, Invalid: x.invalid, Abstains: x.abstains,
	}
	d.Reads = append(append(d.Reads, x.config.By.Reads()...), x.config.Tenant.Reads()...)
	if !x.config.limits() {
		d.Detail = "load"
	}
	if x.config.By.IsPeer() && len(d.Reads) == 0 || !x.config.limits() {
		d.Phase = hauberk.PhaseCoarseLimit
	}
	if x.byKey == nil {
		d.Err = errors.New("a zero Interceptor has no limit; make one with concurrency.New")
	}
	return d
}

// abstains reports whether the limit does not count calls of a method: a public one has no identity.
func (x *Interceptor) abstains(m *hauberk.Method) bool {
	return m.Public() && x.gate == nil && x.config.By.SparesPublic()
}

// invalid returns what is wrong with the keys for the methods of a server.
func (x *Interceptor) invalid(methods []*hauberk.Method) []string {
	return append(x.config.By.Invalid("concurrency.Config.By", methods),
		x.config.Tenant.Invalid("concurrency.Config.Tenant", methods)...)
}

// Intercept gives the call a slot while it is in flight, or rejects it.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if !call.Method().Known() && !x.config.LimitUnknown && !x.config.By.IsPeer() { // it ends as UNIMPLEMENTED
		call.Abstain()
		return next(ctx, call)
	}
	if x.gate != nil && x.gate.closed() {
		x.gate.rejected.Add(1)
		return x.reject(call, &load, &x.gate.subject, 0)
	}
	if !x.config.limits() || call.Public() && x.config.By.SparesPublic() { // a public method has no identity
		if x.gate == nil {
			call.Abstain()
		}
		return next(ctx, call)
	}
	if x.config.Streams == ForMessages && call.Kind() != hauberk.Unary {
		return x.holdForMessages(ctx, call, next)
	}
	var h holder
	if err := x.enter(ctx, call, &h); err != nil {
		return err
	}
	return hauberk.Observe(ctx, call, next, func(err error) { x.leave(&h, x.judge(ctx, call, err)) })
}

// holder is a call with the group whose limit it counts for.
type holder struct {
	group   *group
	table   *table // that has the group; nil for the group of all calls
	subject *subject
	request inflight.Request
	slot    inflight.Slot
}

// enter gives a call a slot, or returns its rejection.
func (x *Interceptor) enter(ctx context.Context, call *hauberk.Call, h *holder) error {
	x.join(ctx, call, h)
	if h.group.limiter.Try(x.time(), &h.request, &h.slot) {
		return nil
	}
	return x.wait(ctx, call, h)
}

// join finds the group of a call. It does not yet use a slot.
//
//go:noinline // its variables would be on the stack of Intercept as long as the call runs
func (x *Interceptor) join(ctx context.Context, call *hauberk.Call, h *holder) {
	var room [usualKey]byte
	if x.config.Tenant.Name() != "" {
		h.request.Tenant, _ = x.config.Tenant.Of(ctx, call)
	}
	if x.config.By.IsGlobal() {
		h.subject, h.group = &x.own, x.whole
		return
	}
	h.subject, h.table = &x.own, x.byKey
	key, peer := x.config.By.AppendOrPeer(ctx, call, room[:0])
	if peer {
		h.subject, h.table = &x.fallback, x.byPeer
	}
	h.group = h.table.enter(key)
}

// usualKey is the room for a key on the stack, in bytes.
const usualKey = 96

// part ends the use of a group.
func (h *holder) part() {
	if h.table != nil {
		h.table.leave(h.group)
	}
}

// leave frees the slot of a call.
func (x *Interceptor) leave(h *holder, o gradient.Outcome) {
	h.group.release(x.now, &h.slot, o)
	h.part()
}

// time returns the time if limiters need it.
func (x *Interceptor) time() time.Duration {
	if !x.timed {
		return 0
	}
	return x.now()
}

// wait lets a call wait for a slot. If it gets none, it leaves its group.
//
//go:noinline // most calls do not wait
func (x *Interceptor) wait(ctx context.Context, call *hauberk.Call, h *holder) (err error) {
	admitted := false
	defer func() {
		if !admitted {
			h.part()
		}
	}()
	err = x.await(ctx, call, h)
	admitted = err == nil
	return err
}

// await waits for a slot, or returns the rejection. In a dry run it does not wait.
func (x *Interceptor) await(ctx context.Context, call *hauberk.Call, h *holder) error {
	limiter := h.group.limiter
	var err error
	if call.DryRun() {
		err = limiter.Reject()
	} else {
		h.request.Priority = x.priorityOf(ctx, call)
		if deadline, ok := ctx.Deadline(); ok {
			h.request.Deadline, h.request.HasDeadline = x.now()+time.Until(deadline), true
		}
		err = limiter.Wait(ctx, inflight.Clock{Now: x.now, AfterFunc: afterFunc}, &h.request, &h.slot)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	default:
		return x.reject(call, kindOf(err), h.subject, limiter.Typical())
	}
}

func afterFunc(d time.Duration, f func()) (stop func() bool) { return time.AfterFunc(d, f).Stop }

// priorityOf returns the priority of a call that waits.
func (x *Interceptor) priorityOf(ctx context.Context, call *hauberk.Call) int {
	m := call.Method()
	switch {
	case x.priority != nil:
		return x.priority(ctx, call)
	case x.methods.critical.Matches(m.Service(), m.Name()):
		return 1
	case x.methods.sheddable.Matches(m.Service(), m.Name()):
		return -1
	default:
		return 0
	}
}

// judge returns what the end of a call says about the duration of calls. Only errors of a handler say
// that a server has too much to do: not those of messages, nor those with which a handler ends whose
// client has left.
func (x *Interceptor) judge(ctx context.Context, call *hauberk.Call, err error) gradient.Outcome {
	switch {
	case !x.timed || call.Kind() != hauberk.Unary && x.config.Streams == ForLife:
		return gradient.Ignored // streams last as long as they like
	case err == nil:
		return gradient.Success
	case hauberk.RejectionOf(err) != nil || call.Unsent() || hauberk.MessageTooLarge(err):
		return gradient.Ignored
	}
	switch hauberk.CodeOf(err) {
	case codes.Unavailable, codes.ResourceExhausted:
		if call.Side() == hauberk.ServerSide && ctx.Err() != nil {
			return gradient.AtLeast
		}
		return gradient.Overload
	case codes.DeadlineExceeded, codes.Canceled:
		return gradient.AtLeast
	default:
		return gradient.Ignored
	}
}
