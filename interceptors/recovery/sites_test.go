package recovery_test

import (
	"context"
	"sync/atomic"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// site is a place where a call panics, or not, as the trap says.
type site struct {
	name       string
	serverOnly bool
	// chain builds the chain around the links that watch and guard it.
	chain func(x, witness, dying hauberk.Interceptor) []hauberk.Interceptor
	// link is the link that panics, or pass.
	link func(die func()) hauberk.Interceptor
	// handle panics in the handler, or is nil.
	handle func(ctx context.Context, s hauberktest.Stream, die func()) error
}

// The link that panics stands outermost, further out than the guard, or innermost.
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
	{name: "outermost link before next", chain: outermost, link: before},
	{name: "outermost link after next", chain: outermost, link: after},
	{name: "send hook of the outermost link", chain: outermost, link: onSend},
	{name: "receive hook of the outermost link", chain: outermost, link: onReceive},
	{name: "innermost link before next", chain: innermost, link: before},
	{name: "innermost link after next", chain: innermost, link: after},
	{name: "send hook of the innermost link", chain: innermost, link: onSend},
	{name: "receive hook of the innermost link", chain: innermost, link: onReceive},
	{
		name: "handler before the first message", serverOnly: true, chain: innermost, link: pass,
		handle: func(ctx context.Context, s hauberktest.Stream, die func()) error {
			die()
			return hauberktest.Echo(ctx, s)
		},
	},
	{
		name: "handler after the first message", serverOnly: true, chain: innermost, link: pass,
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
		name: "handler after its response", serverOnly: true, chain: innermost, link: pass,
		handle: func(ctx context.Context, s hauberktest.Stream, die func()) error {
			err := hauberktest.Echo(ctx, s)
			die()
			return err
		},
	},
}

// unread is a stream whose first request is to be received again.
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

// trap is what panics: armed, in every call.
type trap struct {
	armed atomic.Bool
	spell func()
}

func (t *trap) die() {
	if t.armed.Load() {
		t.spell()
	}
}
