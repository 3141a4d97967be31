package logging_test

import (
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

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
		{name: "no such code", config: logging.Config{Levels: levels(99)}, want: "Config.Levels names Code(99)"},
		{name: "no name", options: []logging.Option{logging.State("", key)}, want: "State was given an empty name"},
		{name: "own name", options: []logging.Option{logging.State("code", key)}, want: `State "code" has the name of`},
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
