package logging

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// The messages of the records.
const (
	MessageStarted = "call started"
	MessagePassed  = "message passed"
	MessageEnded   = "call ended"
)

// beginning is what is known when a call starts.
type beginning struct {
	*method

	at       time.Time
	left     time.Duration // to the deadline
	bounded  bool          // there is a deadline
	asked    bool          // whether the call is followed was asked
	followed bool          // its start and messages are logged
}

func (x *Interceptor) begin(ctx context.Context, call *hauberk.Call, m *method) beginning {
	call.CountMessages()
	if x.config.ClientPeer || x.config.Metadata.Response {
		call.CaptureMetadata()
	}
	b := beginning{method: m, at: x.now()}
	if deadline, ok := ctx.Deadline(); ok {
		b.left, b.bounded = deadline.Sub(b.at), true
	}
	if m.start || m.messages {
		x.follow(ctx, call, &b)
	}
	return b
}

// follow logs a call from its start, if it is one of those.
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
	list := x.appendPeer(space[:0], call)
	list = b.appendDeadline(list)
	list = x.appendRequestMetadata(ctx, list, call)
	list = x.appendStates(list, call)
	list = x.appendAttrs(ctx, list, call)
	x.write(ctx, b.handler(logger, call, false), record{b.at, level, MessageStarted}, list)
}

// end writes the record of a call's end, if it is wanted: that is asked once.
func (x *Interceptor) end(ctx context.Context, call *hauberk.Call, b beginning, err error) {
	logger, level := x.target(), x.levelOf(b.policy, call, hauberk.CodeOf(err))
	if !logger.Enabled(ctx, level) {
		return
	}
	duration := x.since(b.at)
	if b.sampling != nil && !x.sampled(call, &b, level, duration) {
		return
	}
	var space [20]slog.Attr // on the stack: a record holds copies
	list := x.appendOutcome(space[:0], call, duration, err)
	wire := wireAt{call.Wire(), len(list)}
	list = wire.append(list)
	list = x.appendRest(ctx, list, call, b)
	h, r := b.handler(logger, call, err == nil), record{b.at.Add(duration), level, MessageEnded}
	if wire.Wire == nil || err == hauberk.ErrUnwound { //nolint:errorlint // it is set as it is
		x.write(ctx, h, r, list)
	} else {
		x.writeWhenFinal(ctx, h, r, list, wire)
	}
}

// appendOutcome appends how a call ended, and what it moved.
func (x *Interceptor) appendOutcome(
	list []slog.Attr, call *hauberk.Call, duration time.Duration, err error,
) []slog.Attr {
	if err != nil {
		list = append(list, slog.String(KeyCode, hauberk.CodeOf(err).String()))
		list = x.appendError(list, call, err)
	}
	list = x.appendPeer(list, call)
	return append(list,
		slog.Duration(KeyDuration, duration),
		slog.Int64(KeySent, call.Sent()),
		slog.Int64(KeyReceived, call.Received()))
}

// appendRest appends what follows the counts in the record of an end.
func (x *Interceptor) appendRest(ctx context.Context, list []slog.Attr, call *hauberk.Call, b beginning) []slog.Attr {
	list = b.appendDeadline(list)
	list = x.appendRequestMetadata(ctx, list, call)
	list = x.appendResponseMetadata(ctx, list, call)
	list = x.appendStates(list, call)
	list = x.appendDecisions(list, call)
	list = appendFields(list, call)
	list = x.appendAttrs(ctx, list, call)
	return b.appendOmitted(list)
}

// record is what a record has besides its attributes.
type record struct {
	at      time.Time
	level   slog.Level
	message string
}

// write writes a record, or puts it in the queue. The list stays the caller's.
func (x *Interceptor) write(ctx context.Context, h slog.Handler, r record, list []slog.Attr) {
	made := slog.NewRecord(r.at, r.level, r.message, 0)
	if x.queue == nil {
		made.AddAttrs(list...)
		_ = h.Handle(ctx, made) // as slog.Logger does: a call is not failed for its log
		return
	}
	for i := range list {
		list[i].Value = settled(list[i].Value)
	}
	made.AddAttrs(list...)
	x.queue.add(entry{ctx, h, made})
}

// writeWhenFinal writes a record when the sizes in it are final, which on a server
// is after the chain has returned. No chain guards it there against panics.
func (x *Interceptor) writeWhenFinal(ctx context.Context, h slog.Handler, r record, list []slog.Attr, w wireAt) {
	kept := append(make([]slog.Attr, 0, len(list)), list...) // not the list itself: it is on the stack
	w.WhenFinal(func() {
		w.append(kept[:w.at]) // in place of what they were
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

// sampled reports whether the end of a call is to be logged, and counts it if not.
func (x *Interceptor) sampled(call *hauberk.Call, b *beginning, level slog.Level, duration time.Duration) bool {
	switch {
	case b.followed, level >= b.always, b.slow > 0 && duration >= b.slow:
		return true
	case b.asked && level == x.levelOf(b.policy, call, codes.OK): // it is the same question
	case b.admit(b.sampling, level, b.at.Sub(x.epoch)+duration):
		return true
	}
	b.omitted.Add(1)
	x.sampledOut.Add(1)
	return false
}
