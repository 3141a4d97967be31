package logging

import (
	"context"
	"log/slog"
	"sync"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/logtext"
)

// The keys of the records' attributes, in their order; the package's
// documentation says what they hold.
const (
	KeySide                    = "side"
	KeyService                 = "service"
	KeyMethod                  = "method"
	KeyKind                    = "kind"
	KeyCode                    = "code"
	KeyError                   = "error"
	KeyReason                  = "reason"
	KeyPeer                    = "peer"
	KeyDuration                = "duration"
	KeySent                    = "sent"
	KeyReceived                = "received"
	KeySentBytes               = "sent_bytes"
	KeySentCompressedBytes     = "sent_compressed_bytes"
	KeyReceivedBytes           = "received_bytes"
	KeyReceivedCompressedBytes = "received_compressed_bytes"
	KeyDeadlineLeft            = "deadline_left"
	KeyRequestMetadata         = "request_metadata"
	KeyResponseHeader          = "response_header"
	KeyResponseTrailer         = "response_trailer"
	KeyDecisions               = "decisions"
	KeyDecisionsDropped        = "decisions_dropped"
	KeyFieldsDropped           = "fields_dropped"
	KeySampledOut              = "sampled_out"
)

// The keys of a message's record, besides those that it shares with a call's.
const (
	KeyDirection = "direction"
	KeySequence  = "sequence"
	KeyType      = "type"
	KeySize      = "size"
	KeyPayload   = "payload"
)

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
		list = append(list, slog.String(KeyReason, logtext.Cut(reason, maxName)))
	}
	return list
}

func (b *beginning) appendDeadline(list []slog.Attr) []slog.Attr {
	if b.bounded {
		list = append(list, slog.Duration(KeyDeadlineLeft, b.left))
	}
	return list
}

// appendOmitted tells of the calls that were left out since the last record.
func (m *method) appendOmitted(list []slog.Attr) []slog.Attr {
	if m.omitted.Load() == 0 {
		return list
	}
	if n := m.omitted.Swap(0); n > 0 {
		list = append(list, slog.Int64(KeySampledOut, n))
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

// spaces are slices for what functions of others append to: given the list itself,
// it could not be on the stack.
//
//nolint:gochecknoglobals // a pool has nothing to be told apart by
var spaces = sync.Pool{New: func() any { return new([]slog.Attr) }}

// appendAttrs appends what the functions of WithAttrs do.
func (x *Interceptor) appendAttrs(ctx context.Context, list []slog.Attr, call *hauberk.Call) []slog.Attr {
	if len(x.attrs) == 0 {
		return list
	}
	space := spaces.Get().(*[]slog.Attr)
	made := (*space)[:0]
	for _, f := range x.attrs {
		made = f(ctx, call, made)
	}
	list = append(list, made...)
	clear(made)
	*space = made[:0]
	spaces.Put(space)
	return list
}

// wireAt is where a list has the attributes for what a call moved.
type wireAt struct {
	*hauberk.Wire

	at int
}

// append appends the attributes, where the call is measured.
func (w wireAt) append(list []slog.Attr) []slog.Attr {
	if w.Wire == nil {
		return list
	}
	sent, received := w.Sent(), w.Received()
	return append(list,
		slog.Int64(KeySentBytes, sent.Bytes),
		slog.Int64(KeySentCompressedBytes, sent.Compressed),
		slog.Int64(KeyReceivedBytes, received.Bytes),
		slog.Int64(KeyReceivedCompressedBytes, received.Compressed))
}
