package logging_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

func rules(list ...logging.Rule) logging.Config { return logging.Config{Rules: list} }

func payloads(limit int, redact ...string) logging.Config {
	return logging.Config{Payloads: logging.Payloads{MaxBytes: limit, Redact: redact}}
}

func TestConfiguration(t *testing.T) {
	key := hauberk.NewKey[int]("n")
	for _, test := range []struct {
		name    string
		config  logging.Config
		options []logging.Option
		want    string
	}{
		{name: "nil logger", options: []logging.Option{logging.WithLogger(nil)}, want: "WithLogger was given a nil logger"},
		{name: "nil level", options: []logging.Option{logging.WithLevel(nil)}, want: "WithLevel was given a nil"},
		{name: "nil clock", options: []logging.Option{logging.WithClock(nil)}, want: "WithClock was given a nil"},
		{name: "nil attrs", options: []logging.Option{logging.WithAttrs(nil)}, want: "WithAttrs was given a nil function"},
		{name: "nil types", options: []logging.Option{logging.WithTypes(nil)}, want: "WithTypes was given nil"},
		{
			name: "nil types for fields", config: payloads(0, "shop.v1.Card.number"),
			options: []logging.Option{logging.WithTypes(nil)}, want: "WithTypes was given nil",
		},
		{name: "no methods", config: rules(logging.Rule{Off: true}), want: "Config.Rules[0] has no Methods"},
		{
			name: "bad pattern", config: rules(logging.Rule{Methods: []string{"*", "shop.v1.Cart"}}),
			want: `Config.Rules[0] has the bad pattern "shop.v1.Cart": want "package.Service/Method"`,
		},
		{
			name: "no such code of a rule", config: rules(logging.Rule{Methods: []string{"*"}, Levels: levels(17)}),
			want: "Config.Rules[0].Levels names Code(17)",
		},
		{
			name: "bad sampling", config: logging.Config{Sampling: logging.Sampling{First: -1}},
			want: "Config.Sampling has First -1 and OneIn 0; want numbers from 0",
		},
		{
			name: "bad sampling of a rule", config: rules(logging.Rule{Methods: []string{"*"}, Sampling: &logging.Sampling{OneIn: -2}}),
			want: "Config.Rules[0].Sampling has First 0 and OneIn -2",
		},
		{name: "bad slow", config: logging.Config{Slow: -1}, want: "Config.Slow is -1ns"},
		{
			name: "bad slow of a rule", config: rules(logging.Rule{Methods: []string{"*"}, Slow: new(time.Duration(-1))}),
			want: "Config.Rules[0].Slow is -1ns",
		},
		{name: "bad queue", config: logging.Config{Queue: -1}, want: "Config.Queue is -1"},
		{name: "bad limit", config: payloads(-1), want: "Config.Payloads.MaxBytes is -1; want a number of bytes, or 0 for 4096"},
		{name: "bad limit of metadata", config: logging.Config{Metadata: logging.Metadata{MaxBytes: -1}}, want: "Config.Metadata.MaxBytes is -1"},
		{name: "no field", config: payloads(0, "card number"), want: `Config.Payloads.Redact has "card number"; want a field's full name`},
		{name: "empty field", config: payloads(0, ""), want: `Config.Payloads.Redact has ""`},
		{
			name: "field of no message", config: payloads(0, "shop.v1.Card.number"),
			want: `Config.Payloads.Redact has "shop.v1.Card.number", which is not a field of a known message`,
		},
		{name: "no such field", config: payloads(0, "hauberk.test.v1.Request.number"), want: "which is not a field"},
		{name: "a message", config: payloads(0, "hauberk.test.v1.Request"), want: "which is not a field"},
		{
			name: "no metadata name", config: logging.Config{Metadata: logging.Metadata{Redact: []string{"x session"}}},
			want: `Config.Metadata.Redact has "x session"; want a name such as "x-session", or "*-secret"`,
		},
		{name: "star", config: logging.Config{Metadata: logging.Metadata{Redact: []string{"*"}}}, want: `Config.Metadata.Redact has "*"`},
		{name: "star inside", config: logging.Config{Metadata: logging.Metadata{Redact: []string{"a*b"}}}, want: `Config.Metadata.Redact has "a*b"`},
		{name: "name of two attributes", config: logging.Config{Names: logging.Names{Sent: "n", Received: "n"}}, want: "Config.Names.Received"},
		{name: "name of a default", config: logging.Config{Names: logging.Names{Reason: logging.KeyError}}, want: "Config.Names.Reason"},
		{name: "name of slog's", config: logging.Config{Names: logging.Names{Kind: "level"}}, want: "Config.Names.Kind"},
		{
			name: "configured name", config: logging.Config{Names: logging.Names{Kind: "type"}},
			options: []logging.Option{logging.State("type", key)}, want: `State "type" has the name of`,
		},
		{name: "no such code", config: logging.Config{Levels: levels(99)}, want: "Config.Levels names Code(99)"},
		{name: "no name", options: []logging.Option{logging.State("", key)}, want: "State was given an empty name"},
		{name: "own name", options: []logging.Option{logging.State(logging.KeyKind, key)}, want: `State "rpc.kind" has the name of`},
		{name: "slog's name", options: []logging.Option{logging.State("msg", key)}, want: `State "msg" has the name of`},
		{
			name: "twice", options: []logging.Option{logging.State("n", key), logging.State("n", key)},
			want: `State "n" is there twice`,
		},
		{
			name: "zero key", options: []logging.Option{logging.State("n", hauberk.Key[int]{})},
			want: `State "n" was given a key without a name`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := hauberk.New(logging.New(test.config, test.options...))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v; want one with %q", err, test.want)
			}
		})
	}
	if _, err := hauberk.New(logging.New(logging.Config{})); err != nil {
		t.Error(err)
	}
	if _, err := hauberk.New(&logging.Interceptor{}); err == nil || !strings.Contains(err.Error(), "make it with logging.New") {
		t.Errorf("a zero Interceptor: error %v", err)
	}
}
