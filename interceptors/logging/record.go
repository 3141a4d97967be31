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
	MessageEnded   = "call ended"
)

// The keys of the records' attributes, in their order; the package's
// documentation says what they hold.
const (
	KeySide          = "side"
	KeyService       = "service"
	KeyMethod        = "method"
	KeyKind          = "kind"
	KeyCode          = "code"
	KeyError         = "error"
	KeyReason        = "reason"
	KeyPeer          = "peer"
	KeyDuration      = "duration"
	KeySent          = "sent"
	KeyReceived      = "received"
	KeyDeadlineLeft  = "deadline_left"
	KeyDecisions     = "decisions"
	KeyFieldsDropped = "fields_dropped"
)

// Bounds of what callers have a hand in, in bytes.
const (
	maxName = 256  // of a service, a method, a peer, a reason
	maxText = 4096 // of an error, and of state that is a string
)

// beginning is what is known when a call starts.
type beginning struct {
	at      time.Time
	left    time.Duration // to the deadline
	bounded bool          // there is a deadline
}

func (x *Interceptor) begin(ctx context.Context, call *hauberk.Call) beginning {
	call.CountMessages()
	if x.config.ClientPeer {
		call.CaptureMetadata()
	}
	b := beginning{at: x.now()}
	if deadline, ok := ctx.Deadline(); ok {
		b.left, b.bounded = deadline.Sub(b.at), true
	}
	if x.config.Start {
		x.logStart(ctx, call, b)
	}
	return b
}

func (x *Interceptor) logStart(ctx context.Context, call *hauberk.Call, b beginning) {
	logger, level := x.target(), x.levelOf(call, codes.OK)
	if !logger.Enabled(ctx, level) {
		return
	}
	var space [16]slog.Attr
	list := x.appendPeer(space[:0], call)
	list = b.appendDeadline(list)
	list = x.appendStates(list, call)
	r := slog.NewRecord(b.at, level, MessageStarted, 0)
	r.AddAttrs(list...)
	_ = x.plain.handler(logger, call).Handle(ctx, r) // as slog.Logger does: a call is not failed for its log
}

// end writes the record of a call's end, if it is wanted: that is asked once.
func (x *Interceptor) end(ctx context.Context, call *hauberk.Call, b beginning, err error) {
	code := hauberk.StatusOf(err).Code()
	logger, level := x.target(), x.levelOf(call, code)
	if !logger.Enabled(ctx, level) {
		return
	}
	duration := x.since(b.at)
	handlers := &x.good
	var space [20]slog.Attr // on the stack: a record holds copies
	list := space[:0]
	if err != nil {
		handlers = &x.plain
		list = append(list, slog.String(KeyCode, code.String()))
		list = x.appendError(list, call, err)
	}
	list = x.appendPeer(list, call)
	list = append(list,
		slog.Duration(KeyDuration, duration),
		slog.Int64(KeySent, call.Sent()),
		slog.Int64(KeyReceived, call.Received()))
	list = b.appendDeadline(list)
	list = x.appendStates(list, call)
	list = appendDecisions(list, call)
	list = appendFields(list, call)
	r := slog.NewRecord(b.at.Add(duration), level, MessageEnded, 0)
	r.AddAttrs(list...)
	_ = handlers.handler(logger, call).Handle(ctx, r) // as above
}

func (x *Interceptor) target() *slog.Logger {
	if x.logger != nil {
		return x.logger
	}
	return slog.Default()
}

func (x *Interceptor) levelOf(call *hauberk.Call, code codes.Code) slog.Level {
	if level, ok := x.config.Levels[code]; ok {
		return level
	}
	return x.level(call, code)
}

func (x *Interceptor) appendPeer(list []slog.Attr, call *hauberk.Call) []slog.Attr {
	if call.Side() == hauberk.ClientSide && !x.config.ClientPeer {
		return list
	}
	if p := call.Peer(); p != nil && p.Addr != nil {
		list = append(list, slog.String(KeyPeer, x.peers.text(p.Addr)))
	}
	return list
}

func (x *Interceptor) appendError(list []slog.Attr, call *hauberk.Call, err error) []slog.Attr {
	if call.Side() == hauberk.ServerSide || x.config.ClientErrors {
		list = append(list, slog.String(KeyError, errorText(err)))
	}
	if reason := hauberk.Reason(err); reason != "" {
		list = append(list, slog.String(KeyReason, cut(reason, maxName)))
	}
	return list
}

func (b beginning) appendDeadline(list []slog.Attr) []slog.Attr {
	if b.bounded {
		list = append(list, slog.Duration(KeyDeadlineLeft, b.left))
	}
	return list
}

func (x *Interceptor) appendStates(list []slog.Attr, call *hauberk.Call) []slog.Attr {
	for i := range x.states {
		if v, ok := x.states[i].value(call); ok {
			list = append(list, slog.Attr{Key: x.states[i].name, Value: v})
		}
	}
	return list
}
