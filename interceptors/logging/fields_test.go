package logging_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

// Handlers and interceptors add attributes to the record of their call. A later value of a
// key replaces the earlier one.
func TestAddFields(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j := newJournal()
		interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			logging.AddFields(ctx, slog.String("shard", "first"), slog.Int("rows", 3))
			err := next(ctx, call)
			logging.AddFields(ctx, slog.String("shard", "last"))
			return err
		})
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			logging.AddFields(ctx, slog.Group("cart", slog.Int("items", 7)))
			return hauberktest.Echo(ctx, s)
		}}
		env := c.StartWith(t, backend, logging.New(logging.Config{}, j.option()), interceptor)
		_ = env.Call(t.Context())
		env.Server.GracefulStop()
		record := j.only(t)
		check(t, record, map[string]any{"shard": "last", "rows": 3.0})
		cart, there := record["cart"].(map[string]any)
		if there != (c.Side == hauberk.ServerSide) || there && cart["items"] != 7.0 {
			t.Errorf("cart is %v", record["cart"])
		}
	})
}

// A record has no name twice: a field replaces a state, what WithAttrs adds replaces a field,
// and a field with the name of one of the record's own attributes is dropped.
func TestFieldsReplaceOthers(t *testing.T) {
	key := hauberk.NewKey[string]("shard")
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j := newJournal()
		x := logging.New(logging.Config{}, j.option(), logging.State("shard", key), logging.State("kept", key),
			logging.WithAttrs(func(_ context.Context, _ *hauberk.Call, attrs []slog.Attr) []slog.Attr {
				return append(attrs, slog.String("trace_id", "of WithAttrs"))
			}))
		env := c.Start(t, x, hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			key.Set(call, "of State")
			logging.AddFields(ctx, slog.String("shard", "of AddFields"), slog.String("trace_id", "of AddFields"),
				slog.String(logging.KeyStatusCode, "forged"), slog.String("level", "forged"))
			return next(ctx, call)
		}))
		_ = env.Call(t.Context())
		env.Server.GracefulStop()
		check(t, j.only(t), map[string]any{
			"shard": "of AddFields", "kept": "of State", "trace_id": "of WithAttrs", logging.KeyStatusCode: "OK",
			logging.KeyFieldsDropped: 2.0,
		})
		for _, name := range []string{"shard", "trace_id", logging.KeyStatusCode, "level"} {
			if n := strings.Count(j.String(), `"`+name+`":`); n != 1 {
				t.Errorf("the record has %q %d times: %s", name, n, j)
			}
		}
	})
}

// Each call has separate fields, also an outgoing call of a handler.
func TestFieldsOfEachCall(t *testing.T) {
	hauberktest.CheckLeaks(t)
	front, behind := newJournal(), newJournal()
	client := hauberktest.Case{Side: hauberk.ClientSide, Kind: hauberk.Unary}
	interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		logging.AddFields(ctx, slog.String("who", "outgoing"))
		return next(ctx, call)
	})
	out := client.Start(t, logging.New(logging.Config{}, behind.option()), interceptor)
	server := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Unary}
	in := server.StartWith(t, &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		logging.AddFields(ctx, slog.String("who", "incoming"))
		_ = out.Call(ctx)
		return hauberktest.Echo(ctx, s)
	}}, logging.New(logging.Config{}, front.option()))
	_ = in.Call(t.Context())
	in.Server.GracefulStop()
	check(t, front.only(t), map[string]any{"who": "incoming"})
	check(t, behind.only(t), map[string]any{"who": "outgoing"})
}

func TestAddFieldsOutsideOfCalls(t *testing.T) {
	logging.AddFields(t.Context(), slog.Int("n", 1)) // does nothing
}

func TestAddFieldsConcurrently(t *testing.T) {
	hauberktest.CheckLeaks(t)
	j := newJournal()
	c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Unary}
	env := c.StartWith(t, &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for n := range 100 {
					logging.AddFields(ctx, slog.Int(fmt.Sprint("worker", i), n))
				}
			})
		}
		wg.Wait()
		return hauberktest.Echo(ctx, s)
	}}, logging.New(logging.Config{}, j.option()))
	_ = env.Call(t.Context())
	env.Server.GracefulStop()
	record := j.only(t)
	for i := range 8 {
		check(t, record, map[string]any{fmt.Sprint("worker", i): 99.0})
	}
}

func TestFieldsAreBounded(t *testing.T) {
	hauberktest.CheckLeaks(t)
	j := newJournal()
	c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Unary}
	env := c.StartWith(t, &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		for i := range logging.MaxFields + 10 {
			logging.AddFields(ctx, slog.Int(fmt.Sprint("n", i), i))
		}
		logging.AddFields(ctx, slog.Int("n0", -1)) // replaces an earlier one
		return hauberktest.Echo(ctx, s)
	}}, logging.New(logging.Config{}, j.option()))
	_ = env.Call(t.Context())
	env.Server.GracefulStop()
	check(t, j.only(t), map[string]any{"n0": -1.0, "n63": 63.0, "n64": nil, logging.KeyFieldsDropped: 10.0})
}

type user struct{ name string }

func (u user) LogValue() slog.Value { return slog.StringValue("user " + u.name) }

// State is logged if an inner or an outer interceptor sets it.
func TestState(t *testing.T) {
	id, who, wait := hauberk.NewKey[string]("id"), hauberk.NewKey[user]("who"), hauberk.NewKey[time.Duration]("wait")
	unset := hauberk.NewKey[int]("unset")
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j := newJournal()
		outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			id.Set(call, "r-1")
			return next(ctx, call)
		})
		inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			who.Set(call, user{"ada"})
			wait.Set(call, 3)
			return next(ctx, call)
		})
		x := logging.New(logging.Config{Start: true}, j.option(), logging.State("request_id", id),
			logging.State("user", who), logging.State("waited", wait), logging.State("unset", unset))
		env := c.Start(t, outer, x, inner)
		_ = env.Call(t.Context())
		env.Server.GracefulStop()
		records := j.records(t)
		if len(records) != 2 {
			t.Fatalf("logged %v", records)
		}
		check(t, records[0], map[string]any{"request_id": "r-1", "user": nil, "waited": nil})
		check(t, records[1], map[string]any{"request_id": "r-1", "user": "user ada", "waited": 3.0, "unset": nil})
	})
}

func TestDecisions(t *testing.T) {
	for _, test := range []struct {
		name    string
		handler func(j *journal) slog.Handler
		want    string
	}{
		{
			"JSON", func(j *journal) slog.Handler { return slog.NewJSONHandler(j, nil) },
			`"hauberk.decisions":[{"interceptor":"authz","verdict":"allowed","rule":"rule 2"},` +
				`{"interceptor":"ratelimit","verdict":"rejected","reason":"RATE_LIMITED","shadow":true}]`,
		},
		{
			"text", func(j *journal) slog.Handler { return slog.NewTextHandler(j, nil) },
			`hauberk.decisions="authz allowed by \"rule 2\"; ratelimit rejected RATE_LIMITED in shadow"`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			j := newJournal()
			decide := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				call.Decide(hauberk.Decision{Interceptor: "authz", Rule: "rule 2", Verdict: hauberk.Allowed})
				call.Decide(hauberk.Decision{
					Interceptor: "ratelimit", Verdict: hauberk.Rejected, Reason: "RATE_LIMITED", Shadow: true,
				})
				return next(ctx, call)
			})
			c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Bidi}
			env := c.Start(t, logging.New(logging.Config{}, logging.WithLogger(slog.New(test.handler(j)))), decide)
			_ = env.Call(t.Context())
			env.Server.GracefulStop()
			wantIn(t, j.String(), test.want)
		})
	}
}

// The attributes of the record follow those of the logger, in its groups.
func TestLoggerWith(t *testing.T) {
	hauberktest.CheckLeaks(t)
	j := newJournal()
	logger := j.logger().With("region", "eu").WithGroup("grpc")
	c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Unary}
	env := c.Start(t, logging.New(logging.Config{}, logging.WithLogger(logger)))
	_ = env.Call(t.Context())
	env.Server.GracefulStop()
	record := j.only(t)
	check(t, record, map[string]any{"region": "eu", logging.KeyStatusCode: nil})
	if inner, _ := record["grpc"].(map[string]any); inner[logging.KeyStatusCode] != "OK" {
		t.Errorf("the group holds %v", record["grpc"])
	}
}
