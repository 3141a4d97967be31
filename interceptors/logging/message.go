package logging

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/protomessage"
)

// watcher logs the messages of a call.
type watcher struct {
	*Interceptor
	*method

	ctx  context.Context //nolint:containedctx // hooks get none; they end with the next that it was given to
	call *hauberk.Call

	sent, received atomic.Int64 // concurrent attempts share the hooks
}

// watch logs the messages of a call when they pass.
func (x *Interceptor) watch(ctx context.Context, call *hauberk.Call, m *method) {
	w := &watcher{Interceptor: x, method: m, ctx: ctx, call: call}
	call.OnSend(func(msg any, emit func(any) error) error {
		seen := w.look(msg)
		err := emit(msg)
		if err == nil {
			w.log("sent", w.sent.Add(1), seen)
		}
		return err
	})
	call.OnReceive(func(msg any) (bool, error) {
		w.log("received", w.received.Add(1), w.look(msg))
		return true, nil
	})
}

// sight is the part of a record that depends on the message. It is made before inner
// interceptors change the message, and before the sender releases its buffers.
type sight struct {
	logger *slog.Logger // nil if the message is not logged
	level  slog.Level
	attrs  [3]slog.Attr
	count  int // of the attributes
}

func (w *watcher) look(msg any) sight {
	logger, level := w.target(), w.levelOf(w.policy, w.call, codes.OK)
	if !logger.Enabled(w.ctx, level) {
		return sight{}
	}
	m, _ := protomessage.Of(msg)
	s := sight{logger: logger, level: level}
	list := with(s.attrs[:0], w.names.Type, slog.StringValue(typeOf(msg, m)))
	if size, ok := sizeOf(msg, m); ok {
		list = with(list, w.names.Size, slog.Int64Value(int64(size)))
	}
	if w.payloads && m != nil && w.names.Payload != "" {
		list = append(list, slog.String(w.names.Payload, w.redact.Text(m)))
	}
	s.count = len(list)
	return s
}

func (w *watcher) log(direction string, sequence int64, seen sight) {
	if seen.logger == nil {
		return
	}
	var space [16]slog.Attr
	list := with(space[:0], w.names.Direction, slog.StringValue(direction))
	list = with(list, w.names.Sequence, slog.Int64Value(sequence))
	list = append(list, seen.attrs[:seen.count]...)
	from := len(list)
	list = appendStates(list, w.states, w.call)
	list = appendAttrs(w.ctx, list, from, w.attrs, w.call)
	h := w.handler(seen.logger, w.call, w.method, outcome{}).Handler
	w.write(w.ctx, h, record{w.now(), seen.level, MessagePassed}, list)
}

func typeOf(msg any, m proto.Message) string {
	if m != nil {
		return string(m.ProtoReflect().Descriptor().FullName())
	}
	return fmt.Sprintf("%T", msg)
}

// sizeOf returns the size of the encoded message in bytes, if it is known: for protobuf,
// for bytes, and for types with a Len method such as mem.BufferSlice.
func sizeOf(msg any, m proto.Message) (size int, known bool) {
	if m != nil {
		return proto.Size(m), true
	}
	switch msg := msg.(type) {
	case []byte:
		return len(msg), true
	case *[]byte:
		if msg != nil {
			return len(*msg), true
		}
		return 0, false
	case interface{ Len() int }:
		return msg.Len(), true
	default:
		return 0, false
	}
}
