package logging

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	"github.com/hauberk-rpc/hauberk"
)

// watcher logs the messages of a call.
type watcher struct {
	*Interceptor
	*method

	ctx  context.Context //nolint:containedctx // hooks have none; they end with the next that it was given to
	call *hauberk.Call

	sent, received atomic.Int64 // attempts beside each other share the hooks
}

// watch has the messages of a call logged as they pass.
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

// sight is what is logged of a message: what it was before inner interceptors changed
// it, and whoever sent it gave its buffers back.
type sight struct {
	logger *slog.Logger // nil if nothing is
	level  slog.Level
	attrs  [3]slog.Attr
	count  int // of the attributes
}

func (w *watcher) look(msg any) sight {
	logger, level := w.target(), w.levelOf(w.policy, w.call, codes.OK)
	if !logger.Enabled(w.ctx, level) {
		return sight{}
	}
	m := protoOf(msg)
	s := sight{logger: logger, level: level}
	list := append(s.attrs[:0], slog.String(KeyType, typeOf(msg, m)))
	if size, ok := sizeOf(msg, m); ok {
		list = append(list, slog.Int64(KeySize, int64(size)))
	}
	if w.payloads && m != nil {
		list = append(list, slog.String(KeyPayload, w.redact.text(m)))
	}
	s.count = len(list)
	return s
}

func (w *watcher) log(direction string, sequence int64, seen sight) {
	if seen.logger == nil {
		return
	}
	var space [16]slog.Attr
	list := append(space[:0], slog.String(KeyDirection, direction), slog.Int64(KeySequence, sequence))
	list = append(list, seen.attrs[:seen.count]...)
	list = w.appendStates(list, w.call)
	list = w.appendAttrs(w.ctx, list, w.call)
	w.write(w.ctx, w.handler(seen.logger, w.call, false), record{w.now(), seen.level, MessagePassed}, list)
}

// protoOf returns a message of protobuf, or nil.
func protoOf(msg any) proto.Message {
	switch msg := msg.(type) {
	case proto.Message:
		return msg
	case protoadapt.MessageV1:
		return protoadapt.MessageV2Of(msg)
	default:
		return nil
	}
}

func typeOf(msg any, m proto.Message) string {
	if m != nil {
		return string(m.ProtoReflect().Descriptor().FullName())
	}
	return fmt.Sprintf("%T", msg)
}

// sizeOf returns the size of a message as it is encoded, in bytes, where that is
// known: of protobuf, of bytes, and of what tells its length, as mem.BufferSlice.
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
