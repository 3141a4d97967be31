package fault

import (
	"context"
	"fmt"

	"github.com/hauberk-rpc/hauberk"
)

// injection is a call that gets faults.
type injection struct {
	x     *Interceptor
	ctx   context.Context //nolint:containedctx // of the call
	call  *hauberk.Call
	after []func() error // faults of the single response
	lasts bool           // it may get faults after it has begun
}

// before injects what a rule has for a call before it begins, and prepares the rest.
func (in *injection) before(c *chosen) error {
	if most := max(c.Delay, c.MaxDelay); most > 0 {
		d := c.lots.between(c.Delay, most)
		in.x.counts[delayed].Add(1)
		in.call.Decide(hauberk.Decision{Interceptor: name, Rule: fmt.Sprintf("rule %d: delay of %v", c.index, d)})
		if err := wait(in.ctx, d); err != nil {
			return err
		}
	}
	if c.Abort != nil {
		if c.Abort.AfterMessages == 0 {
			return in.abort(c)
		}
		if in.call.Kind() == hauberk.Unary {
			in.later(func() error { return in.abort(c) })
		}
	}
	requests, responses := in.call.Kind().ClientStreams(), in.call.Kind().ServerStreams()
	if err := in.direction(c, Requests, requests, requests && !responses); err != nil {
		return err
	}
	return in.direction(c, Responses, responses, responses)
}

// direction injects faults into the messages of one direction. counts is whether Abort.AfterMessages
// is about them.
func (in *injection) direction(c *chosen, d Direction, streams, counts bool) error {
	f := &flow{in: in, rule: c.rule, messages: c.Messages}
	if !c.Messages.of(d) {
		f.messages = &Messages{}
	}
	if c.Abort != nil && c.Abort.AfterMessages > 0 && counts {
		f.abortAfter = c.Abort.AfterMessages
	}
	if *f.messages == (Messages{}) && f.abortAfter == 0 {
		return nil
	}
	stream := uint64(ofRequests)
	if d == Responses {
		stream = ofResponses
	}
	f.lots = draw(in.x.config.Seed, c.index, c.n, stream)
	switch {
	case !streams && d == Requests:
		return f.single(in.ctx)
	case !streams:
		in.later(func() error { return f.single(in.ctx) })
	case (in.call.Side() == hauberk.ClientSide) == (d == Requests):
		in.lasts = true
		in.call.OnSendContext(f.send)
	default:
		in.lasts = true
		in.call.OnReceiveContext(f.receive)
	}
	return nil
}

// later adds a fault of the single response.
func (in *injection) later(f func() error) { in.after, in.lasts = append(in.after, f), true }

// flow is the messages of one direction of a call. Its methods run one after the other.
type flow struct {
	in         *injection
	rule       *rule
	messages   *Messages
	abortAfter int // 0 for never
	passed     int // messages so far
	lots       lots
}

// fate is what becomes of a message.
type fate struct{ drop, duplicate bool }

// next delays a message, and returns what becomes of it or the error that ends its call.
func (f *flow) next(ctx context.Context) (fate, error) {
	if f.abortAfter > 0 && f.passed >= f.abortAfter {
		return fate{}, f.in.abort(&chosen{rule: f.rule})
	}
	f.passed++
	m := f.messages
	drop, duplicate, delay := f.lots.percent(m.Drop), f.lots.percent(m.Duplicate), f.lots.percent(m.Delay)
	if drop {
		f.in.x.counts[dropped].Add(1)
		return fate{drop: true}, nil
	}
	if delay {
		f.in.x.counts[messageDelayed].Add(1)
		if err := wait(ctx, m.DelayFor); err != nil {
			return fate{}, err
		}
	}
	return fate{duplicate: duplicate}, nil
}

// single is for the one message of a direction that does not stream.
func (f *flow) single(ctx context.Context) error {
	to, err := f.next(ctx)
	if err == nil && to.drop {
		err = f.in.lost(f.rule)
	}
	return err
}

func (f *flow) send(ctx context.Context, msg any, emit func(any) error) error {
	to, err := f.next(ctx)
	if err != nil || to.drop {
		return err
	}
	if err := emit(msg); err != nil || !to.duplicate {
		return err
	}
	f.in.x.counts[duplicated].Add(1)
	return emit(msg)
}

func (f *flow) receive(ctx context.Context, _ any) (keep bool, err error) {
	to, err := f.next(ctx)
	return err == nil && !to.drop, err
}
