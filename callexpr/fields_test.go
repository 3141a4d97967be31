package callexpr_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callexpr"
	"github.com/hauberk-rpc/hauberk/field"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// TestFields: expressions of keys and costs have the fields of the first request. A call without the field has
// neither.
func TestFields(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		text := callexpr.WithField("text", field.String("text"))
		env := c.Start(t, ratelimit.New(ratelimit.Config{
			Limit: 3, Per: time.Hour,
			By:   callexpr.Key("first letter", `fields.text.startsWith("a") ? "a" : "b"`, text),
			Cost: ratelimit.Cost{Call: 3, Of: callexpr.Cost(`size(fields.text)`, text)},
		}))
		for _, call := range []struct {
			text string
			want codes.Code
		}{
			{"a", codes.OK},
			{"ab", codes.OK},
			{"a", codes.ResourceExhausted},
			{"bbb", codes.OK},
			{"b", codes.ResourceExhausted},
			{"", codes.OK},
			{"", codes.ResourceExhausted},
		} {
			if out := env.Call(t.Context(), call.text); status.Code(out.Err) != call.want {
				t.Errorf("%q: %v; want %v", call.text, out.Err, call.want)
			}
		}
	})
}

// TestFieldErrors: options and variables that do not exist are errors of New, and paths that do not fit are
// reported when a server starts.
func TestFieldErrors(t *testing.T) {
	text := field.String("text")
	for name, c := range map[string]struct {
		expression string
		opts       []callexpr.Option
		want       string
	}{
		"unknown":     {`fields.txt`, []callexpr.Option{callexpr.WithField("text", text)}, "undeclared reference"},
		"without":     {`fields.text`, nil, "WithField"},
		"the request": {`request.text`, nil, "WithField"},
		"bad name":    {`"a"`, []callexpr.Option{callexpr.WithField("a.b", text)}, `"a.b"`},
		"empty name":  {`"a"`, []callexpr.Option{callexpr.WithField("", text)}, "want lower-case letters"},
		"keyword":     {`"a"`, []callexpr.Option{callexpr.WithField("in", text)}, `"in"`},
		"bad path":    {`"a"`, []callexpr.Option{callexpr.WithField("a", field.String("."))}, "WithField a: "},
		"zero field":  {`"a"`, []callexpr.Option{callexpr.WithField("a", field.Field{})}, "a zero Field"},
		"twice":       {`"a"`, []callexpr.Option{callexpr.WithField("a", text), callexpr.WithField("a", text)}, "twice"},
		"nil":         {`"a"`, []callexpr.Option{nil}, "option 1 is nil"},
		"a number":    {`fields.text > 3`, []callexpr.Option{callexpr.WithField("text", text)}, "no matching overload"},
	} {
		key := callexpr.Key("key", c.expression, c.opts...)
		if err := key.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
	bad := callexpr.WithField("text", field.String("txt"))
	unused := callexpr.Key("key", `method`, bad)
	for name, c := range map[string]struct {
		config ratelimit.Config
		want   string
	}{
		"key":    {ratelimit.Config{By: callexpr.Key("key", `fields.text`, bad)}, "ratelimit.Config.By: fields.text: no request has the field"},
		"cost":   {ratelimit.Config{Cost: ratelimit.Cost{Of: callexpr.Cost(`size(fields.text)`, bad)}}, "ratelimit.Config.Cost.Of: fields.text: "},
		"unused": {ratelimit.Config{By: unused}, ""},
	} {
		c.config.Limit, c.config.Per = 1, time.Hour
		srv := hauberk.Must(hauberk.New(ratelimit.New(c.config))).NewServer(grpc.NumStreamWorkers(0))
		testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
		err := srv.Coverage().Err()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
}
