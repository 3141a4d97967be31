package recovery_test

import (
	"context"
	"sync/atomic"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// site is a place where a call panics if the trap is armed.
type site struct {
	name       string
	serverOnly bool
	// chain returns the chain: the interceptor under test, a witness, and the one that panics.
	chain func(x, witness, dying hauberk.Interceptor) []hauberk.Interceptor
	// interceptor is the interceptor that panics, or pass.
	interceptor func(die func()) hauberk.Interceptor
	// handle panics in the handler, or is nil.
	handle func(ctx context.Context, s hauberktest.Stream, die func()) error
}

// The interceptor that panics is outermost, outside the guard, or innermost.
func outermost(x, _, dying hauberk.Interceptor) []hauberk.Interceptor {
	return []hauberk.Interceptor{dying, x}
}

func innermost(x, witness, dying hauberk.Interceptor) []hauberk.Interceptor {
	return []hauberk.Interceptor{witness, x, dying}
}

func before(die func()) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		die()
		return next(ctx, call)
	})
}

func after(die func()) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		die()
		return err
	})
}

func onSend(die func()) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.OnSend(func(msg any, emit func(any) error) error {
			die()
			return emit(msg)
		})
		return next(ctx, call)
	})
}

func onReceive(die func()) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.OnReceive(func(any) (bool, error) {
			die()
			return true, nil
		})
		return next(ctx, call)
	})
}

func pass(func()) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		return next(ctx, call)
	})
}

var sites = []site{
	{name: "outermost interceptor before next", chain: outermost, interceptor: before},
	{name: "outermost interceptor after next", chain: outermost, interceptor: after},
	{name: "send hook of the outermost interceptor", chain: outermost, interceptor: onSend},
	{name: "receive hook of the outermost interceptor", chain: outermost, interceptor: onReceive},
	{name: "innermost interceptor before next", chain: innermost, interceptor: before},
	{name: "innermost interceptor after next", chain: innermost, interceptor: after},
	{name: "send hook of the innermost interceptor", chain: innermost, interceptor: onSend},
	{name: "receive hook of the innermost interceptor", chain: innermost, interceptor: onReceive},
	{
		name: "handler before the first message", serverOnly: true, chain: innermost, interceptor: pass,
		handle: func(ctx context.Context, s hauberktest.Stream, die func()) error {
			die()
			return hauberktest.Echo(ctx, s)
		},
	},
	{
		name: "handler after the first message", serverOnly: true, chain: innermost, interceptor: pass,
		handle: func(ctx context.Context, s hauberktest.Stream, die func()) error {
			req, err := s.Recv()
			if err != nil {
				return err
			}
			die()
			return hauberktest.Echo(ctx, &unread{s, req})
		},
	},
	{
		name: "handler after its response", serverOnly: true, chain: innermost, interceptor: pass,
		handle: func(ctx context.Context, s hauberktest.Stream, die func()) error {
			err := hauberktest.Echo(ctx, s)
			die()
			return err
		},
	},
}

// unread is a stream whose first request is received again.
type unread struct {
	hauberktest.Stream

	first *testpb.Request
}

func (u *unread) Recv() (*testpb.Request, error) {
	if req := u.first; req != nil {
		u.first = nil
		return req, nil
	}
	return u.Stream.Recv()
}

// trap panics in every call while it is armed.
type trap struct {
	armed atomic.Bool
	spell func()
}

func (t *trap) die() {
	if t.armed.Load() {
		t.spell()
	}
}
