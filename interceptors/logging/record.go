package logging

import (
	"context"
	"log/slog"
	"math"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/codename"
)

// The messages of the records.
const (
	MessageStarted = "call started"
	MessagePassed  = "message passed"
	MessageEnded   = "call ended"
)

// beginning is what the interceptor keeps of the start of a call.
type beginning struct {
	*method

	at       time.Time
	left     time.Duration // to the deadline
	bounded  bool          // there is a deadline
	asked    bool          // follow has decided
	followed bool          // its start and messages are logged
	earlier  uint32        // messages of earlier attempts, at most MaxUint32: the stack has no room for 8 bytes
}

func (x *Interceptor) begin(ctx context.Context, call *hauberk.Call, m *method) beginning {
	call.CountMessages()
	if x.config.ClientPeer || x.config.Metadata.Response {
		call.CaptureMetadata()
	}
	b := beginning{method: m, at: x.now()}
	if call.Side() == hauberk.ClientSide {
		b.earlier = uint32(min(call.TotalReceived(), math.MaxUint32))
	}
	if deadline, ok := ctx.Deadline(); ok {
		b.left, b.bounded = deadline.Sub(b.at), true
	}
	if m.start || m.messages {
		x.follow(ctx, call, &b)
	}
	return b
}

// received returns how many messages a call has received, on a client in all attempts of inner
// interceptors.
func (b *beginning) received(call *hauberk.Call) int64 {
	return max(call.TotalReceived()-int64(b.earlier), 0) // replies may have been discarded
}

// follow logs the start and the messages of a call, unless sampling leaves it out.
func (x *Interceptor) follow(ctx context.Context, call *hauberk.Call, b *beginning) {
	level := x.levelOf(b.policy, call, codes.OK)
	b.asked = true
	b.followed = b.sampling == nil || level >= b.always || b.admit(b.sampling, level, b.at.Sub(x.epoch))
	if !b.followed {
		return
	}
	if b.start {
		x.logStart(ctx, call, *b)
	}
	if b.messages {
		x.watch(ctx, call, b.method)
	}
}

func (x *Interceptor) logStart(ctx context.Context, call *hauberk.Call, b beginning) {
	logger, level := x.target(), x.levelOf(b.policy, call, codes.OK)
	if !logger.Enabled(ctx, level) {
		return
	}
	var space [16]slog.Attr
	list := x.appendPeer(space[:0], call, x.peerOf(call), false)
	list = x.appendDeadline(list, &b)
	list = x.appendRequestMetadata(ctx, list, call)
	from := len(list)
	list = appendStates(list, x.states, call)
	list = appendAttrs(ctx, list, from, x.attrs, call)
	h := x.handler(logger, call, b.method, outcome{}).Handler
	x.write(ctx, h, record{b.at, level, MessageStarted}, list)
}

// end writes the record of a call's end, if its level is enabled and sampling does not
// leave it out.
func (x *Interceptor) end(ctx context.Context, call *hauberk.Call, b beginning, err error) {
	code := hauberk.CodeOf(err)
	logger, level := x.target(), x.levelOf(b.policy, call, code)
	if !logger.Enabled(ctx, level) {
		return
	}
	duration := max(x.since(b.at), 0)
	if b.sampling != nil && !x.sampled(call, &b, level, duration) {
		return
	}
	o := outcome{true, code, call.Sent(), b.received(call)}
	peer := x.peerOf(call)
	h, bound := x.handler(logger, call, b.method, o).with(o, peer)
	e := ending{o, duration, err, peer, bound}
	r := record{b.at.Add(duration), level, MessageEnded}
	if call.Wire() != nil && err != hauberk.ErrUnwound { //nolint:errorlint // Observe passes it unwrapped
		x.endWhenFinal(ctx, call, &b, h, r, e)
		return
	}
	made := x.endRecord(ctx, call, &b, r, e)
	if x.queue != nil {
		x.enqueue(ctx, h, &made)
		return
	}
	_ = h.Handle(ctx, made) // as slog.Logger does: a call does not fail because of its log
}

// ending is the outcome of a call.
type ending struct {
	outcome

	duration time.Duration
	err      error
	peer     *peerAttr // nil without one
	bound    bool      // the handler has the attribute of the peer
}

// endRecord returns the record of a call's end. It is not inlined, so that its list is not
// on the stack while the handler runs: the stack of a call just fits into 8 KiB.
//
//go:noinline
func (x *Interceptor) endRecord(
	ctx context.Context, call *hauberk.Call, b *beginning, r record, e ending,
) (made slog.Record) {
	var space [16]slog.Attr
	list, _ := x.appendEnd(ctx, space[:0], call, b, e)
	x.settle(list)
	made = slog.NewRecord(r.at, r.level, r.message, 0)
	made.AddAttrs(list...)
	return made
}

// appendEnd appends the attributes of the record of a call's end. It also returns the place
// of the attributes for bytes.
func (x *Interceptor) appendEnd(
	ctx context.Context, list []slog.Attr, call *hauberk.Call, b *beginning, e ending,
) ([]slog.Attr, wireAt) {
	list = x.appendOutcome(list, call, &e)
	wire := wireAt{call.Wire(), len(list)}
	list = x.appendWire(list, wire.Wire)
	return x.appendRest(ctx, list, call, b), wire
}

// appendOutcome appends the outcome of a call, apart from what its handler has.
func (x *Interceptor) appendOutcome(list []slog.Attr, call *hauberk.Call, e *ending) []slog.Attr {
	if !codename.Known(e.code) {
		list = x.appendCode(list, e.code)
	}
	if e.err != nil {
		list = x.appendError(list, call, e.code, e.err)
	}
	if !e.isSingle() {
		list = x.appendCounts(list, e.outcome)
	}
	list = x.appendPeer(list, call, e.peer, e.bound)
	return with(list, x.names.Duration, slog.DurationValue(e.duration))
}

// appendRest appends the attributes at the end of the record of an end.
func (x *Interceptor) appendRest(ctx context.Context, list []slog.Attr, call *hauberk.Call, b *beginning) []slog.Attr {
	list = x.appendDeadline(list, b)
	list = x.appendRequestMetadata(ctx, list, call)
	list = x.appendResponseMetadata(ctx, list, call)
	from := len(list)
	list = appendStates(list, x.states, call)
	list = x.appendIdentity(list, call)
	list = x.appendDecisions(list, call)
	list = x.appendFields(list, from, call)
	list = appendAttrs(ctx, list, from, x.attrs, call)
	return x.appendOmitted(list, b.method)
}

// record has the parts of a record that are not attributes.
type record struct {
	at      time.Time
	level   slog.Level
	message string
}

// write writes a record, or puts it in the queue. It does not keep the list.
func (x *Interceptor) write(ctx context.Context, h slog.Handler, r record, list []slog.Attr) {
	x.settle(list)
	made := slog.NewRecord(r.at, r.level, r.message, 0)
	made.AddAttrs(list...)
	if x.queue != nil {
		x.enqueue(ctx, h, &made)
		return
	}
	_ = h.Handle(ctx, made) // as slog.Logger does: a call does not fail because of its log
}

// settle fixes the values of attributes for a queue, which reads them later.
func (x *Interceptor) settle(list []slog.Attr) {
	if x.queue == nil {
		return
	}
	for i := range list {
		list[i].Value = settled(list[i].Value)
	}
}

// enqueue is not inlined, so that its entry is not on the stack while a handler runs.
//
//go:noinline
func (x *Interceptor) enqueue(ctx context.Context, h slog.Handler, made *slog.Record) {
	x.queue.Add(entry{ctx, h, *made})
}

// endWhenFinal writes the record of a call's end when the bytes in it are final. On a server
// that is after the chain has returned, and no chain guards it against panics then.
func (x *Interceptor) endWhenFinal(
	ctx context.Context, call *hauberk.Call, b *beginning, h slog.Handler, r record, e ending,
) {
	kept, w := x.appendEnd(ctx, make([]slog.Attr, 0, 16), call, b, e)
	w.WhenFinal(func() {
		x.appendWire(kept[:w.at], w.Wire) // replaces the earlier values
		if !contained(func() { x.write(ctx, h, r, kept) }) {
			x.dropped.Add(1)
		}
	})
}

func (x *Interceptor) target() *slog.Logger {
	if x.logger != nil {
		return x.logger
	}
	return slog.Default()
}

func (x *Interceptor) levelOf(p *policy, call *hauberk.Call, code codes.Code) slog.Level {
	if choice := p.levels[min(code, codes.Code(len(p.levels)-1))]; choice.chosen {
		return choice.Level
	}
	return x.level(call, code)
}

// sampled reports whether the end of a call is logged, and counts it if it is not.
func (x *Interceptor) sampled(call *hauberk.Call, b *beginning, level slog.Level, duration time.Duration) bool {
	switch {
	case b.followed, level >= b.always, b.slow > 0 && duration >= b.slow:
		return true
	case b.asked && level == x.levelOf(b.policy, call, codes.OK): // follow has decided it
	case b.admit(b.sampling, level, b.at.Sub(x.epoch)+duration):
		return true
	}
	b.omitted.Add(1)
	x.sampledOut.Add(1)
	return false
}
