package hauberk

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// plan is a chain as it runs for a set of methods: the interceptors that apply,
// and the Next that each of them gets, made once.
type plan struct {
	chain   *Chain
	entries []*entry
	// start runs the whole chain.
	start Next
	guard Guard
	// captures is set once a unary call on a client has captured metadata.
	captures atomic.Bool
}

func newPlan(c *Chain, entries []*entry) *plan {
	p := &plan{chain: c, entries: entries}
	for _, l := range entries {
		if g, ok := l.interceptor.(Guard); ok && p.guard == nil {
			p.guard = g
		}
	}
	next := p.step(len(entries), Func(func(ctx context.Context, call *Call, _ Next) error {
		if call.method.unguarded {
			return call.errUnguarded()
		}
		if call.method.drain.rejectsNew() && !call.method.isHealth() {
			return errShuttingDown()
		}
		if err := call.endedWith(); err != nil {
			return err
		}
		return call.end.finish(ctx, call)
	}), nil)
	for i, l := range slices.Backward(entries) {
		next = p.step(i, l.interceptor, next)
	}
	p.start = next
	return p
}

// ReasonNotOffered is the reason ([Reason]) of the rejection of a call whose method is neither authenticated nor public
// in a chain that authenticates calls. If the server has the method, the code is INTERNAL. If another handler forwards
// calls, as in package gateway, the code is UNIMPLEMENTED, and only the cause, which clients do not receive, names the
// settings.
const ReasonNotOffered = "METHOD_NOT_OFFERED"

// errUnguarded ends a call of a method that the coverage proof finds open, however it is
// served, also if an interceptor has answered it.
//
//go:noinline // its variables would be on the stack of the chain as long as the call runs
func (c *Call) errUnguarded() error {
	m := c.method
	if !m.known && !m.forwarded {
		return c.plan.chain.errUnknown(m)
	}
	why := errInternal("the chain authenticates calls, but not those of %s: "+
		"authenticate them or list them in hauberk.Config.Public", m.full)
	c.record(-1, Decision{
		Interceptor: "hauberk", Rule: "neither authenticated nor public", Verdict: Rejected, Reason: ReasonNotOffered,
	})
	if !m.forwarded {
		return &Rejection{Code: codes.Internal, Reason: ReasonNotOffered, Message: status.Convert(why).Message()}
	}
	return &Rejection{
		Code: codes.Unimplemented, Reason: ReasonNotOffered, Cause: why,
		Message: "The policy in front of the service does not offer this method",
	}
}

// step makes the Next that runs interceptor i, or behind the last one the terminal.
//
// A chain has two frames for each interceptor: one of these functions, and
// Intercept. That counts, since a client stream's chain waits on its own goroutine,
// whose stack has to hold them all.
func (p *plan) step(i int, x Interceptor, next Next) Next {
	at := int32(i)
	if p.guard != nil {
		return p.guardedStep(at, x, next)
	}
	if f, ok := x.(Func); ok {
		return func(ctx context.Context, call *Call) error {
			ctx, err, answered := call.open(ctx, at, p)
			if answered {
				return err
			}
			return call.leave(at, f(ctx, call, next))
		}
	}
	return func(ctx context.Context, call *Call) error {
		ctx, err, answered := call.open(ctx, at, p)
		if answered {
			return err
		}
		return call.leave(at, x.Intercept(ctx, call, next))
	}
}

// guardedStep is step for a chain with a Guard.
func (p *plan) guardedStep(at int32, x Interceptor, next Next) Next {
	return func(ctx context.Context, call *Call) (err error) {
		ctx, err, answered := call.open(ctx, at, p)
		if answered {
			return err
		}
		err = errUnwinding
		defer call.leaveGuarded(ctx, at, &err)
		return x.Intercept(ctx, call, next)
	}
}

// errUnwinding is the error of a step whose interceptor has not returned.
var errUnwinding = errors.New("hauberk: unwinding")

// leaveGuarded ends a step of a chain with a Guard. It keeps a panic of the interceptor
// from unwinding further. The end of its goroutine is noted once a call: it goes on
// through the outer interceptors.
func (c *Call) leaveGuarded(ctx context.Context, at int32, err *error) {
	if *err == errUnwinding { //nolint:errorlint // it is that very value
		switch v := recover(); {
		case v != nil:
			*err = c.plan.recovered(ctx, c, v)
		case !c.leaving:
			c.leaving = true
			c.last = c.plan.recovered(ctx, c, ErrGoexit)
			return
		default:
			return
		}
	}
	*err = c.leave(at, *err)
}

// open begins the next at a place and returns the context of what runs inside.
//
//go:noinline // its variables would be on the stack of the step as long as the call runs
//nolint:revive // the error is the outcome of next, not a failure of open
func (c *Call) open(ctx context.Context, at int32, p *plan) (inside context.Context, err error, answered bool) {
	if c == nil || ctx == nil {
		return nil, errInternal("next was called with a nil Call or a nil context"), true
	}
	if c.plan != p {
		return nil, errInternal("next was called with a Call that is not its interceptor's: " +
			"pass on the call that Intercept was given, or a copy by Call.Attempt"), true
	}
	if err, answered := c.enter(ctx, at); answered {
		return nil, err, true
	}
	if l := c.leg; l != nil && l.depth == at {
		ctx = l.begin(ctx)
	}
	if c.detached && at == c.base {
		ctx = context.WithValue(ctx, callKey{}, c)
	}
	return ctx, nil, false
}
