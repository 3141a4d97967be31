package hauberk

import (
	"context"
	"runtime/debug"
	"slices"
)

// plan is a chain as it runs for a set of methods: the links that apply, and the
// Next that each of them is given, made once.
type plan struct {
	chain *Chain
	links []*link
	// start runs the whole chain.
	start Next
	guard Guard
}

func newPlan(c *Chain, links []*link) *plan {
	p := &plan{chain: c, links: links}
	for _, l := range links {
		if g, ok := l.interceptor.(Guard); ok && p.guard == nil {
			p.guard = g
		}
	}
	next := p.step(len(links), func(ctx context.Context, call *Call) error {
		return call.end.finish(ctx, call)
	})
	for i, l := range slices.Backward(links) {
		next = p.step(i, runLink(l.interceptor, next))
	}
	p.start = next
	return p
}

// runLink makes a Next of a link and what stands inside it. The frames of these
// count: a client stream's chain runs on a new goroutine, whose stack has to grow
// to hold them all.
func runLink(x Interceptor, next Next) Next {
	if f, ok := x.(Func); ok {
		return func(ctx context.Context, call *Call) error { return f(ctx, call, next) }
	}
	return func(ctx context.Context, call *Call) error { return x.Intercept(ctx, call, next) }
}

// step makes the Next that runs what stands at place i: link i, or behind the
// last link the terminal.
func (p *plan) step(i int, run Next) Next {
	if p.guard != nil {
		run = p.guarded(run)
	}
	at := int32(i)
	return func(ctx context.Context, call *Call) error {
		if call == nil || ctx == nil {
			return errInternal("next was called with a nil Call or a nil context")
		}
		if err, answered := call.enter(at); answered {
			return err
		}
		return call.leave(at, run(ctx, call))
	}
}

// guarded keeps the panics of run from unwinding further.
func (p *plan) guarded(run Next) Next {
	return func(ctx context.Context, call *Call) (err error) {
		returned := false
		defer func() {
			if !returned {
				err = p.recovered(ctx, call, recover())
			}
		}()
		err = run(ctx, call)
		returned = true
		return err
	}
}

// recovered gives the guard a panic, and once a call the end of its goroutine,
// which goes on through the links further out.
func (p *plan) recovered(ctx context.Context, call *Call, v any) error {
	if v != nil {
		return p.made(p.guard.Recovered(ctx, call, v, debug.Stack()))
	}
	if !call.leaving {
		call.leaving = true
		call.last = p.made(p.guard.Recovered(ctx, call, ErrGoexit, debug.Stack()))
	}
	return call.last
}

// made is what a guard made of a panic, which is never nothing.
func (*plan) made(err error) error {
	if err == nil {
		return errInternal("the Guard of the chain returned no error for a panic")
	}
	return err
}
