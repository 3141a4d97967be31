package concurrency

import (
	"context"
	"sync"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/engine/gradient"
	"github.com/hauberk-rpc/hauberk/internal/engine/inflight"
)

// messages is a call of a streaming method that holds a slot while a message is in progress:
//
//	        a request                    a slot
//	idle ──────────────▶ asking ────────────────────▶ holding
//	 ▲                     │ no slot: the call ends      │
//	 └───────────────────────────────────────────────────┘ a response
//
// The end of the call leads from any state to closed. Requests and responses are on different
// goroutines, some of which a handler may have left behind.
type messages struct {
	x    *Interceptor
	call *hauberk.Call
	holder

	mu     sync.Mutex // guards the fields below, and the slot of the holder
	asking bool
	closed bool
}

// holdForMessages runs a call that holds a slot while a message is in progress. If it has a
// single request, it has a slot from the start, so that it is rejected before that is read.
func (x *Interceptor) holdForMessages(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	m := &messages{x: x, call: call}
	x.join(ctx, call, &m.holder)
	return hauberk.Observe(ctx, call, func(ctx context.Context, call *hauberk.Call) error {
		if !call.Kind().ClientStreams() {
			if err := m.begin(ctx); err != nil {
				return err
			}
		} else {
			h := *m.subject // decisions of hooks
			h.hook = name
			m.subject = &h
			m.onRequest()
		}
		m.onResponse()
		return next(ctx, call)
	}, func(err error) { m.close(x.judge(ctx, call, err)) })
}

// onRequest asks for a slot with each request.
func (m *messages) onRequest() {
	if m.call.Side() == hauberk.ServerSide {
		m.call.OnReceiveContext(func(ctx context.Context, _ any) (keep bool, err error) { return true, m.begin(ctx) })
		return
	}
	m.call.OnSendContext(func(ctx context.Context, msg any, emit func(any) error) error {
		if err := m.begin(ctx); err != nil {
			return err
		}
		return emit(msg)
	})
}

// onResponse frees the slot after each response.
func (m *messages) onResponse() {
	if m.call.Side() == hauberk.ServerSide {
		m.call.OnSend(func(msg any, emit func(any) error) error {
			err := emit(msg)
			m.end(gradient.Success)
			return err
		})
		return
	}
	m.call.OnReceive(func(any) (keep bool, err error) {
		m.end(gradient.Success)
		return true, nil
	})
}

// begin gets a slot, unless the call holds one or is asking for one.
func (m *messages) begin(ctx context.Context) error {
	m.mu.Lock()
	if m.closed || m.asking || m.slot.Held() {
		m.mu.Unlock()
		return nil
	}
	m.asking = true
	m.mu.Unlock()
	var slot inflight.Slot
	defer m.settle(&slot)
	if m.group.limiter.Try(m.x.time(), &m.request, &slot) {
		return nil
	}
	h := holder{group: m.group, subject: m.subject, request: m.request}
	err := m.x.await(ctx, m.call, &h)
	slot = h.slot
	return err
}

// settle ends asking. A call that has ended meanwhile does not keep the slot.
func (m *messages) settle(slot *inflight.Slot) {
	m.mu.Lock()
	m.asking, m.slot = false, *slot
	closed := m.closed
	m.mu.Unlock()
	if closed {
		m.end(gradient.Ignored)
	}
}

// end frees the slot, if the call holds one.
func (m *messages) end(o gradient.Outcome) {
	m.mu.Lock()
	slot := m.slot
	m.slot = inflight.Slot{}
	m.mu.Unlock()
	if slot.Held() {
		m.group.release(m.x.now, &slot, o)
	}
}

// close frees the slot at the end of the call.
func (m *messages) close(o gradient.Outcome) {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.end(o)
	m.part()
}
