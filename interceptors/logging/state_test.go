package logging_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

type tier int

func (tier) String() string { return "gold" }

type name string

type broken struct{}

func (broken) MarshalText() ([]byte, error) { return nil, errors.New("no text") }

type mute struct{ text string }

func (m *mute) MarshalText() ([]byte, error) { return []byte(m.text), nil }

// valuer has a LogValue method.
type telling struct{ value any }

func (l telling) LogValue() slog.Value { return slog.AnyValue(l.value) }

type badge struct{ Secret string }

func (badge) String() string { return "a secret" }

// State is logged if its type is plain or made for logs. For other types the name of the
// type is logged.
func TestStateByType(t *testing.T) {
	key := hauberk.NewKey[any]("value")
	for _, test := range []struct{ value, want any }{
		{"text", "text"},
		{name("text"), "text"},
		{7, 7.0},
		{uint8(7), 7.0},
		{1.5, 1.5},
		{true, true},
		{tier(3), "gold"},
		{codes.NotFound, "NotFound"},
		{time.Second, 1e9},
		{time.Unix(0, 0).UTC(), "1970-01-01T00:00:00Z"},
		{netip.MustParseAddr("192.0.2.1"), "192.0.2.1"},
		{errors.New("it failed"), "it failed"},
		{[]string{"a", "b\x7f"}, []any{"a", "b?"}},
		{nil, nil},
		{user{"ada"}, "user ada"},
		{broken{}, "[logging_test.broken]"},
		{badge{"x"}, "[logging_test.badge]"},
		{&badge{"x"}, "[*logging_test.badge]"},
		{(*badge)(nil), "[*logging_test.badge]"},
		{map[string]any{"email": "x"}, "[map[string]interface {}]"},
		{[]byte("raw"), "[[]uint8]"},
		{&testpb.Request{Text: "x"}, "[*testpb.Request]"},
		{strings.Repeat("x", 5000), strings.Repeat("x", 4096) + "…"},
		{"\u009b31m\u202e", "?31m?"},
		{&mute{"text"}, "text"},
		{(*mute)(nil), "[*logging_test.mute]"}, // it panics
		{telling{7}, 7.0},
		{telling{"\u009b31m\u202e"}, "?31m?"},
		{telling{telling{strings.Repeat("x", 5000)}}, strings.Repeat("x", 4096) + "…"},
		{telling{errors.New("\u009b31m")}, "?31m"},
		{telling{[]string{"\u009b31m"}}, []any{"?31m"}},
		{
			telling{slog.GroupValue(slog.Any("a\u202e", telling{"\u202e"}), slog.Int("n", 1))},
			map[string]any{"a?": "?", "n": 1.0},
		},
	} {
		j := newJournal()
		set := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			key.Set(call, test.value)
			return next(ctx, call)
		})
		chain := hauberk.Must(hauberk.New(logging.New(logging.Config{}, j.option(), logging.State("value", key)), set))
		serveText(t, chain, 0)
		if got := j.only(t)["value"]; !reflect.DeepEqual(got, test.want) {
			t.Errorf("%T: %v, want %v", test.value, got, test.want)
		}
	}
}

func TestLongListInState(t *testing.T) {
	key := hauberk.NewKey[[]string]("value")
	j := newJournal()
	list := make([]string, 10_000)
	set := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		key.Set(call, list)
		return next(ctx, call)
	})
	serveText(t, hauberk.Must(hauberk.New(logging.New(logging.Config{}, j.option(), logging.State("value", key)), set)), 0)
	if got, _ := j.only(t)["value"].([]any); len(got) != 4097 || got[4096] != "…" {
		t.Errorf("%d of 10000 texts", len(got))
	}
}

type spanKey struct{}

// A function appends data of the context at the interceptor's place, and of the call at
// the time of the record.
func TestWithAttrs(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j := newJournal()
		span := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			return next(context.WithValue(ctx, spanKey{}, "span-7"), call)
		})
		trace := func(ctx context.Context, _ *hauberk.Call, list []slog.Attr) []slog.Attr {
			return append(list, slog.Any("span_id", ctx.Value(spanKey{})))
		}
		sent := func(_ context.Context, call *hauberk.Call, list []slog.Attr) []slog.Attr {
			if call.Sent() == 0 {
				return list
			}
			return append(list, slog.Int64("by_now", call.Sent()))
		}
		x := logging.New(logging.Config{Start: true}, j.option(), logging.WithAttrs(trace), logging.WithAttrs(sent))
		env := c.Start(t, span, x)
		if out := env.Call(t.Context()); out.Err != nil {
			t.Fatal(out.Err)
		}
		env.Server.GracefulStop()
		records := j.records(t)
		check(t, records[0], map[string]any{"msg": "call started", "span_id": "span-7", "by_now": nil})
		check(t, records[1], map[string]any{"msg": "call ended", "span_id": "span-7", "by_now": 1.0})
	})
}

// Each call has separate attributes.
func TestWithAttrsConcurrently(t *testing.T) {
	j := newJournal()
	own := func(ctx context.Context, _ *hauberk.Call, list []slog.Attr) []slog.Attr {
		return append(list, slog.Any("span_id", ctx.Value(spanKey{})), slog.Any("again", ctx.Value(spanKey{})))
	}
	chain := hauberk.Must(hauberk.New(logging.New(logging.Config{}, j.option(), logging.WithAttrs(own))))
	done := make(chan struct{})
	for i := range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 50 {
				serve(context.WithValue(t.Context(), spanKey{}, i), chain, hauberk.Unary, func() {})
			}
		}()
	}
	for range 8 {
		<-done
	}
	counts := map[any]int{}
	for _, r := range j.records(t) {
		counts[r["span_id"]]++
		check(t, r, map[string]any{"again": r["span_id"]})
	}
	for i := range 8 {
		if counts[float64(i)] != 50 {
			t.Errorf("%d records of caller %d, want 50", counts[float64(i)], i)
		}
	}
}
