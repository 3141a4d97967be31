package logging_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

const service1 = "hauberk.test.v1.TestService"

func TestRules(t *testing.T) {
	for _, test := range []struct {
		name   string
		config logging.Config
		want   []any // of the messages of a call's records
		level  any   // of the last record
	}{
		{"none", logging.Config{}, []any{"call ended"}, nil},
		{"off", logging.Config{Start: true, Rules: []logging.Rule{{Methods: []string{"*"}, Off: true}}}, nil, nil},
		{
			"another service",
			logging.Config{Rules: []logging.Rule{{Methods: []string{"grpc.other.Service/*"}, Off: true}}},
			[]any{"call ended"},
			nil,
		},
		{
			"first match holds",
			logging.Config{Rules: []logging.Rule{
				{Methods: []string{"grpc.no.Such/Method", "/" + service1 + "/*"}, Start: new(true)},
				{Methods: []string{"*"}, Off: true},
			}},
			[]any{"call started", "call ended"},
			nil,
		},
		{
			"start off",
			logging.Config{Start: true, Rules: []logging.Rule{{Methods: []string{"*"}, Start: new(false)}}},
			[]any{"call ended"},
			nil,
		},
		{
			"messages",
			logging.Config{Rules: []logging.Rule{{Methods: []string{"*"}, Messages: new(true)}}},
			[]any{"message passed", "message passed", "call ended"},
			nil,
		},
		{
			"payloads imply messages",
			logging.Config{Rules: []logging.Rule{{Methods: []string{"*"}, Payloads: new(true)}}},
			[]any{"message passed", "message passed", "call ended"},
			nil,
		},
		{
			"payloads off",
			logging.Config{Payloads: logging.Payloads{On: true}, Rules: []logging.Rule{{
				Methods: []string{"*"}, Payloads: new(false),
			}}},
			[]any{"call ended"},
			nil,
		},
		{
			"payloads off, messages on",
			logging.Config{Messages: true, Payloads: logging.Payloads{On: true}, Rules: []logging.Rule{{
				Methods: []string{"*"}, Payloads: new(false),
			}}},
			[]any{"message passed", "message passed", "call ended"},
			nil,
		},
		{
			"payloads without messages",
			logging.Config{Rules: []logging.Rule{{Methods: []string{"*"}, Payloads: new(true), Messages: new(false)}}},
			[]any{"message passed", "message passed", "call ended"},
			nil,
		},
		{
			"messages off",
			logging.Config{Messages: true, Rules: []logging.Rule{{Methods: []string{"*"}, Messages: new(false)}}},
			[]any{"call ended"},
			nil,
		},
		{
			"level",
			logging.Config{Levels: levels(codes.OK), Rules: []logging.Rule{{
				Methods: []string{"*"}, Level: new(slog.LevelDebug - 1), Levels: levels(codes.Aborted),
			}}},
			[]any{"call ended"},
			"DEBUG-1",
		},
		{
			"level of a code",
			logging.Config{Rules: []logging.Rule{{
				Methods: []string{"*"}, Level: new(slog.LevelDebug), Levels: levels(codes.OK),
			}}},
			[]any{"call ended"},
			"ERROR+1",
		},
		{
			"sampling", logging.Config{Rules: []logging.Rule{{
				Methods: []string{"*"}, Sampling: &logging.Sampling{OneIn: 2},
			}}}, nil, nil,
		},
		{
			"sampling off",
			logging.Config{Sampling: logging.Sampling{OneIn: 2}, Rules: []logging.Rule{{
				Methods: []string{"*"}, Sampling: &logging.Sampling{OneIn: 1},
			}}},
			[]any{"call ended"},
			nil,
		},
		{
			"slow",
			logging.Config{Sampling: logging.Sampling{OneIn: 2}, Rules: []logging.Rule{{
				Methods: []string{"*"}, Slow: new(time.Nanosecond),
			}}},
			[]any{"call ended"},
			nil,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				j := newJournal()
				env := c.Start(t, logging.New(test.config, j.option()))
				if out := env.Call(t.Context()); out.Err != nil {
					t.Fatal(out.Err)
				}
				env.Server.GracefulStop()
				records := j.records(t)
				checkEqual(t, pluck(records, "msg"), test.want)
				if test.level != nil {
					check(t, records[len(records)-1], map[string]any{"level": test.level})
				}
			})
		})
	}
}

// The level of a rule also applies to codes that gRPC does not define.
func TestRuleOfForeignCodes(t *testing.T) {
	for _, code := range []codes.Code{17, 99, 1<<32 - 1} {
		hauberktest.CheckLeaks(t)
		j := newJournal()
		config := rules(logging.Rule{Methods: []string{"*"}, Level: new(slog.LevelDebug - 1)})
		c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Unary}
		env := c.StartWith(t, &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
			return status.Error(code, "no")
		}}, logging.New(config, j.option()))
		_ = env.Call(t.Context())
		env.Server.GracefulStop()
		check(t, j.only(t), map[string]any{"level": "DEBUG-1"})
	}
}

// Rules apply to the names of unknown methods.
func TestRulesOfUnknownMethods(t *testing.T) {
	hauberktest.CheckLeaks(t)
	j := newJournal()
	config := logging.Config{Rules: []logging.Rule{{Methods: []string{service1 + "/*", "grpc.made.Up/One"}, Off: true}}}
	env := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Bidi}.Start(t, logging.New(config, j.option()))
	for _, name := range []string{"/grpc.made.Up/One", "/made.Up/Two", "/" + service1 + "/NoSuch"} {
		_ = env.Do(t.Context(), name, []*testpb.Request{{}})
	}
	env.Server.GracefulStop()
	check(t, j.only(t), map[string]any{logging.KeyMethod: "made.Up/Two"})
}

// Serve reports patterns of rules that match no method.
func TestUnmatchedPatterns(t *testing.T) {
	config := logging.Config{Rules: []logging.Rule{{Methods: []string{"*"}}, {Methods: []string{"shop.v1.Crat/*"}, Off: true}}}
	chain := hauberk.Must(hauberk.New(logging.New(config)))
	cov := chain.Coverage(map[string]grpc.ServiceInfo{"shop.v1.Cart": {Methods: []grpc.MethodInfo{{Name: "Get"}}}})
	if want := []string{`logging.Config.Rules[1]("shop.v1.Crat/*")`}; !slices.Equal(cov.Unmatched, want) {
		t.Errorf("unmatched are %q; want %q", cov.Unmatched, want)
	}
}
