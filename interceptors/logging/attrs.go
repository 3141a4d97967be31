package logging

import (
	"context"
	"log/slog"
	"sync"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/codename"
	"github.com/hauberk-rpc/hauberk/internal/logtext"
)

// appendCode appends the code in both spellings.
func (x *Interceptor) appendCode(list []slog.Attr, code codes.Code) []slog.Attr {
	list = with(list, x.names.StatusCode, slog.StringValue(codename.Of(code)))
	if x.names.Code != "" {
		list = append(list, slog.String(x.names.Code, code.String()))
	}
	return list
}

// appendCounts appends the numbers of messages.
func (x *Interceptor) appendCounts(list []slog.Attr, o outcome) []slog.Attr {
	list = with(list, x.names.Sent, slog.Int64Value(o.sent))
	return with(list, x.names.Received, slog.Int64Value(o.received))
}

// peerOf returns the attribute of the other end of a call's connection, or nil if records do not have it.
func (x *Interceptor) peerOf(call *hauberk.Call) *peerAttr {
	if call.Side() == hauberk.ClientSide && !x.config.ClientPeer {
		return nil
	}
	p := call.Peer()
	if p == nil || p.Addr == nil {
		return nil
	}
	return x.peers.of(p.Addr)
}

// appendPeer appends the attribute of a peer, unless the handler has it, and that of the client.
func (x *Interceptor) appendPeer(list []slog.Attr, call *hauberk.Call, at *peerAttr, bound bool) []slog.Attr {
	if at == nil {
		return list
	}
	if !bound && at.hasAttr() {
		list = append(list, at.attr)
	}
	if x.names.ClientAddress == "" {
		return list
	}
	if client := call.ClientAddr(); client.IsValid() && client != at.ip {
		list = append(list, slog.String(x.names.ClientAddress, client.String()))
	}
	return list
}

func (x *Interceptor) appendError(list []slog.Attr, call *hauberk.Call, code codes.Code, err error) []slog.Attr {
	if x.names.Error != "" && (call.Side() == hauberk.ServerSide || x.config.ClientErrors) {
		if text := errorText(err, code); text != "" {
			list = append(list, slog.String(x.names.Error, text))
		}
	}
	if x.names.Reason == "" {
		return list
	}
	if reason := hauberk.Reason(err); reason != "" {
		list = append(list, slog.String(x.names.Reason, logtext.Cut(reason, maxName)))
	}
	return list
}

func (x *Interceptor) appendDeadline(list []slog.Attr, b *beginning) []slog.Attr {
	if !b.bounded {
		return list
	}
	return with(list, x.names.DeadlineLeft, slog.DurationValue(b.left))
}

// appendOmitted appends the number of calls that were left out since the last record.
func (x *Interceptor) appendOmitted(list []slog.Attr, m *method) []slog.Attr {
	if m.omitted.Load() == 0 {
		return list
	}
	if n := m.omitted.Swap(0); n > 0 {
		list = with(list, x.names.SampledOut, slog.Int64Value(n))
	}
	return list
}

func appendStates(list []slog.Attr, all states, call *hauberk.Call) []slog.Attr {
	for i := range all {
		if v, ok := all[i].Of(call); ok {
			list = append(list, slog.Attr{Key: all[i].Name, Value: v})
		}
	}
	return list
}

// spaces are slices that the functions of WithAttrs append to. If they appended to the
// list of the record, the list could not be on the stack.
//
//nolint:gochecknoglobals // all interceptors share the pool
var spaces = sync.Pool{New: func() any { return new([]slog.Attr) }}

// appendAttrs appends what the functions of WithAttrs append, in place of attributes of the
// same names from place from.
func appendAttrs(
	ctx context.Context, list []slog.Attr, from int, funcs []AttrsFunc, call *hauberk.Call,
) []slog.Attr {
	if len(funcs) == 0 {
		return list
	}
	space := spaces.Get().(*[]slog.Attr)
	made := (*space)[:0]
	for _, f := range funcs {
		made = f(ctx, call, made)
	}
	for _, a := range made {
		list = put(list, from, a)
	}
	clear(made)
	*space = made[:0]
	spaces.Put(space)
	return list
}

// wireAt is the place in a list of the attributes for the bytes of a call.
type wireAt struct {
	*hauberk.Wire

	at int
}

// appendWire appends these attributes, if the chain counts bytes.
func (x *Interceptor) appendWire(list []slog.Attr, w *hauberk.Wire) []slog.Attr {
	if w == nil {
		return list
	}
	sent, received := w.Sent(), w.Received()
	list = with(list, x.names.SentBytes, slog.Int64Value(sent.Bytes))
	list = with(list, x.names.SentCompressedBytes, slog.Int64Value(sent.Compressed))
	list = with(list, x.names.ReceivedBytes, slog.Int64Value(received.Bytes))
	return with(list, x.names.ReceivedCompressedBytes, slog.Int64Value(received.Compressed))
}
