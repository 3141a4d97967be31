package audit

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/codename"
)

// Sink stores records. A record is stored when Write returns nil. Write is called concurrently. Its context
// has the values of that of the call, and ends after Config.Timeout, not with the call.
type Sink interface {
	Write(ctx context.Context, r Record) error
}

// SinkFunc is a function that implements [Sink].
type SinkFunc func(ctx context.Context, r Record) error

// Write calls f.
func (f SinkFunc) Write(ctx context.Context, r Record) error { return f(ctx, r) }

// Errors of records that are not written. [WithFailed] receives them, and errors.Is finds them in the error of
// a call in this process.
var (
	// ErrFailed is that of a call that ends because its record was not written.
	ErrFailed = errors.New("audit: the record of the call was not written")
	// ErrTimeout means that the sink did not return in time. It may still store the record.
	ErrTimeout = errors.New("audit: the sink did not store the record in time")
	// ErrPanic means that the sink panicked or ended its goroutine.
	ErrPanic = errors.New("audit: the sink panicked")
	// ErrDropped means that the queue was full or closed.
	ErrDropped = errors.New("audit: the queue had no room for the record")
	// ErrDisabled is that of the sink of [Slog] if the handler is not enabled for the level.
	ErrDisabled = errors.New("audit: the handler of slog is not enabled for the level")
	// ErrClosed is that of a [File] after Close.
	ErrClosed = errors.New("audit: the file is closed")
)

// Slog returns a sink that writes records to the handler of logger, with the message "audit" and an attribute
// for each member of the record's JSON. An error of the handler is that of the sink. Most handlers of slog store
// nothing durably: a record that the handler has accepted is lost if its process or host ends.
func Slog(logger *slog.Logger, level slog.Level) Sink {
	if logger == nil {
		return nil
	}
	return slogSink{logger.Handler(), level}
}

type slogSink struct {
	handler slog.Handler
	level   slog.Level
}

func (s slogSink) Write(ctx context.Context, r Record) error {
	if !s.handler.Enabled(ctx, s.level) {
		return ErrDisabled
	}
	made := slog.NewRecord(r.Time, s.level, "audit", 0)
	made.AddAttrs(r.attrs()...)
	return s.handler.Handle(ctx, made)
}

// attrs returns the members of the record as attributes.
func (r Record) attrs() []slog.Attr {
	list := []slog.Attr{slog.String("call", r.Call), slog.String("stage", r.Stage.String())}
	add := func(name, text string) {
		if text != "" {
			list = append(list, slog.String(name, text))
		}
	}
	add("side", r.Side)
	add("kind", r.Kind)
	add("method", r.Method)
	add("peer", r.Peer)
	add("client", r.Client)
	list = appendGroup(list, "state", r.State)
	if w := r.Who; w != (Who{}) {
		list = append(list, slog.Group("who",
			"subject", w.Subject, "issuer", w.Issuer, "tenant", w.Tenant, "method", w.Method))
	}
	list = appendGroup(list, "request", r.Request)
	if r.Stage == StageEnd {
		list = append(list, slog.String("code", codename.Of(r.Code)), slog.Duration("duration", r.Duration),
			slog.Int64("sent", r.Sent), slog.Int64("received", r.Received))
	}
	add("reason", r.Reason)
	if len(r.Decisions) > 0 {
		list = append(list, slog.Any("decisions", decisions(r.Decisions)))
	}
	if r.Panic {
		list = append(list, slog.Bool("panic", true))
	}
	if r.Cut {
		list = append(list, slog.Bool("cut", true))
	}
	return list
}

func appendGroup(list []slog.Attr, name string, texts map[string]string) []slog.Attr {
	if len(texts) == 0 {
		return list
	}
	group := make([]slog.Attr, 0, len(texts))
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		group = append(group, slog.String(key, texts[key]))
	}
	return append(list, slog.Attr{Key: name, Value: slog.GroupValue(group...)})
}

// decisions are written as JSON by handlers of all formats.
type decisions []hauberk.Decision

func (d decisions) MarshalJSON() ([]byte, error) { return appendDecisionList(nil, d), nil }

func (d decisions) String() string { return string(appendDecisionList(nil, d)) }
