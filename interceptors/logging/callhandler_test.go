package logging_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

// traced appends an attribute like those of a span.
func traced(_ context.Context, call *hauberk.Call, list []slog.Attr) []slog.Attr {
	return append(list, slog.String("trace_id", "t-"+call.Kind().String()))
}

// logIn makes a call in which an interceptor and, on a server, the handler run log.
func logIn(t *testing.T, c hauberktest.Case, log func(ctx context.Context)) {
	t.Helper()
	set := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		requestID.Set(call, "r-1")
		log(ctx)
		return next(ctx, call)
	})
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		log(ctx)
		return hauberktest.Echo(ctx, s)
	}}
	if c.Side == hauberk.ClientSide {
		backend = nil
	}
	env := c.StartWith(t, backend, set)
	if out := env.Call(t.Context()); out.Err != nil {
		t.Fatal(out.Err)
	}
	env.Server.GracefulStop()
}

// Lines of interceptors and handlers have the state and the attributes of their call, at
// the top level, in whichever group their logger writes.
func TestHandler(t *testing.T) {
	unset := hauberk.NewKey[int]("unset")
	for _, test := range []struct {
		name string
		log  func(logger *slog.Logger, ctx context.Context)
		want string
	}{
		{"plain", func(l *slog.Logger, ctx context.Context) { l.InfoContext(ctx, "hello", "n", 1) }, `{"n":1,ID}`},
		{"no attributes", func(l *slog.Logger, ctx context.Context) { l.InfoContext(ctx, "hello") }, `{ID}`},
		{"with", func(l *slog.Logger, ctx context.Context) { l.With("a", 1).InfoContext(ctx, "hello", "n", 1) }, `{"a":1,"n":1,ID}`},
		{
			"group", func(l *slog.Logger, ctx context.Context) { l.WithGroup("g").InfoContext(ctx, "hello", "n", 1) },
			`{"g":{"n":1},ID}`,
		},
		{"empty group", func(l *slog.Logger, ctx context.Context) { l.WithGroup("g").InfoContext(ctx, "hello") }, `{ID}`},
		{"group without a name", func(l *slog.Logger, ctx context.Context) {
			l.WithGroup("").InfoContext(ctx, "hello", "n", 1)
		}, `{"n":1,ID}`},
		{"attributes around groups", func(l *slog.Logger, ctx context.Context) {
			l.With("a", 1).WithGroup("g").With("b", 2).WithGroup("h").With("c", 3).InfoContext(ctx, "hello", "n", 1)
		}, `{"a":1,"g":{"b":2,"h":{"c":3,"n":1}},ID}`},
		{"the line's own", func(l *slog.Logger, ctx context.Context) {
			l.InfoContext(ctx, "hello", "request_id", "own", "trace_id", "own")
		}, `{"request_id":"own","trace_id":"own"}`},
		{"the logger's own", func(l *slog.Logger, ctx context.Context) {
			l.With("request_id", "own").InfoContext(ctx, "hello", "trace_id", "own")
		}, `{"request_id":"own","trace_id":"own"}`},
		{"of the same name in a group", func(l *slog.Logger, ctx context.Context) {
			l.WithGroup("g").With("trace_id", 1).InfoContext(ctx, "hello", "request_id", 2)
		}, `{"g":{"trace_id":1,"request_id":2},ID}`},
		{"an inline group of the line", func(l *slog.Logger, ctx context.Context) {
			l.InfoContext(ctx, "hello", slog.Group("", "request_id", "own", slog.Group("", "trace_id", "own")))
		}, `{"request_id":"own","trace_id":"own"}`},
		{"an inline group of the logger", func(l *slog.Logger, ctx context.Context) {
			l.With(slog.Group("", "request_id", "own")).InfoContext(ctx, "hello", slog.Any("", ownTrace{}))
		}, `{"request_id":"own","trace_id":"own"}`},
		{"an inline group of another name", func(l *slog.Logger, ctx context.Context) {
			l.With(slog.Group("", "a", 1)).InfoContext(ctx, "hello", slog.Group("", "b", 2))
		}, `{"a":1,"b":2,ID}`},
		{"groups that slog omits", func(l *slog.Logger, ctx context.Context) {
			l.With(slog.Group("request_id")).InfoContext(ctx, "hello", slog.Group("trace_id", slog.Group("empty")))
		}, `{ID}`},
		{"without the context", func(l *slog.Logger, _ context.Context) { l.Info("hello", "n", 1) }, `{"n":1}`},
		{"group without the context", func(l *slog.Logger, _ context.Context) {
			l.WithGroup("g").Info("hello", "n", 1)
		}, `{"g":{"n":1}}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				j := newJournal()
				logger := slog.New(logging.Handler(j.bare(), logging.State("request_id", requestID),
					logging.State("unset", unset), logging.WithAttrs(traced)))
				logIn(t, c, func(ctx context.Context) { test.log(logger, ctx) })
				want := strings.Replace(test.want, "ID", fmt.Sprintf(`"request_id":"r-1","trace_id":"t-%s"`, c.Kind), 1) + "\n"
				want = strings.Repeat(want, map[hauberk.Side]int{hauberk.ServerSide: 2, hauberk.ClientSide: 1}[c.Side])
				if got := j.String(); got != want {
					t.Errorf("logged %s, want %s", got, want)
				}
			})
		})
	}
}

// ownTrace has its attribute in a group.
type ownTrace struct{}

func (ownTrace) LogValue() slog.Value { return slog.GroupValue(slog.String("trace_id", "own")) }

// The members of an inline group that a function of WithAttrs appends are added one by one:
// those whose name is at the top level already are not, be it the line's or one that was
// added before.
func TestHandlerAddsInlineGroups(t *testing.T) {
	grouped := func(_ context.Context, _ *hauberk.Call, list []slog.Attr) []slog.Attr {
		return append(list, slog.Group("", slog.String("trace_id", "1"), slog.String("request_id", "2"),
			slog.Group("", slog.String("span_id", "3"))), slog.String("span_id", "4"))
	}
	for _, test := range []struct {
		name string
		line []any
		want string
	}{
		{"none", nil, `{"request_id":"r-1","trace_id":"1","span_id":"3"}`},
		{"another", []any{slog.Group("", "a", 1)}, `{"a":1,"request_id":"r-1","trace_id":"1","span_id":"3"}`},
		{"the same", []any{"trace_id", "own"}, `{"trace_id":"own","request_id":"r-1","span_id":"3"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			j := newJournal()
			logger := slog.New(logging.Handler(j.bare(), logging.State("request_id", requestID), logging.WithAttrs(grouped)))
			logger.InfoContext(hauberktest.Context(t, hauberktest.State(requestID, "r-1")), "hello", test.line...)
			if got := j.String(); got != test.want+"\n" {
				t.Errorf("logged %s, want %s", got, test.want)
			}
		})
	}
}

// bare is a handler that writes attributes only.
func (j *journal) bare() slog.Handler {
	return slog.NewJSONHandler(j, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
			return slog.Attr{}
		}
		return a
	}})
}

// A line outside of calls passes unchanged.
func TestHandlerWithoutCall(t *testing.T) {
	j := newJournal()
	logger := slog.New(logging.Handler(j.bare(), logging.State("request_id", requestID), logging.WithAttrs(traced)))
	logger.InfoContext(t.Context(), "hello", "n", 1)
	if got := j.String(); got != `{"n":1}`+"\n" {
		t.Errorf("logged %s", got)
	}
}

// The records of interceptors that log to a Handler have its attributes, each of them
// once.
func TestHandlerOfInterceptors(t *testing.T) {
	for name, options := range map[string][]logging.Option{
		"no options": nil,
		"the same":   {logging.State("request_id", requestID), logging.WithAttrs(traced)},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				j := newJournal()
				logger := slog.New(logging.Handler(slog.NewJSONHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}),
					logging.State("request_id", requestID), logging.WithAttrs(traced)))
				set := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					requestID.Set(call, "r-1")
					return next(ctx, call)
				})
				x := logging.New(logging.Config{Queue: 8}, append(options, logging.WithLogger(logger))...)
				env := c.Start(t, set, x)
				if out := env.Call(t.Context()); out.Err != nil {
					t.Fatal(out.Err)
				}
				env.Server.GracefulStop()
				if err := x.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				check(t, j.only(t), map[string]any{
					"msg": "call ended", "request_id": "r-1", "trace_id": "t-" + c.Kind.String(), logging.KeySent: 1.0,
				})
				if n := strings.Count(j.String(), "r-1"); n != 1 {
					t.Errorf("the id is there %d times: %s", n, j)
				}
			})
		})
	}
}

// The handler follows the rules of slog.
func TestHandlerConformance(t *testing.T) {
	var buf bytes.Buffer
	h := logging.Handler(slog.NewJSONHandler(&buf, nil), logging.State("request_id", requestID))
	err := slogtest.TestHandler(h, func() []map[string]any {
		var records []map[string]any
		for line := range strings.Lines(buf.String()) {
			var r map[string]any
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			records = append(records, r)
		}
		return records
	})
	if err != nil {
		t.Error(err)
	}
}

func TestHandlerLevel(t *testing.T) {
	h := logging.Handler(slog.NewJSONHandler(newJournal(), nil), logging.State("request_id", requestID))
	if h.Enabled(t.Context(), slog.LevelDebug) || !h.Enabled(t.Context(), slog.LevelInfo) {
		t.Error("the levels are not those of the handler behind it")
	}
}

func TestHandlerPanics(t *testing.T) {
	next := slog.DiscardHandler
	for _, test := range []struct {
		name    string
		next    slog.Handler
		options []logging.Option
		want    []string
	}{
		{"nil handler", nil, []logging.Option{logging.WithAttrs(traced)}, []string{"logging: ", "nil slog.Handler"}},
		{"no options", next, nil, []string{"add nothing", "State", "WithAttrs"}},
		{"nil option", next, []logging.Option{nil}, []string{"option 1 of Handler is nil"}},
		{"zero key", next, []logging.Option{logging.State("n", hauberk.Key[int]{})}, []string{"key without a name"}},
		{"name of slog's", next, []logging.Option{logging.State("msg", requestID)}, []string{`"msg"`}},
		{"name twice", next, []logging.Option{logging.State("n", requestID), logging.State("n", requestID)}, []string{`"n"`, "twice"}},
		{"nil function", next, []logging.Option{logging.WithAttrs(nil)}, []string{"WithAttrs", "nil"}},
		{"option of New", next, []logging.Option{logging.WithLogger(slog.Default())}, []string{"WithLogger", "New"}},
		{"all at once", nil, []logging.Option{logging.WithAttrs(nil), nil}, []string{"nil slog.Handler", "WithAttrs", "option 2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, _ := panicOf(func() { logging.Handler(test.next, test.options...) }).(string)
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("panics with %q, want %q in it", got, want)
				}
			}
		})
	}
}
