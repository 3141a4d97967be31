package field_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/field"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// TestFixed: no request with another value than the first reaches the handler of a stream, wherever it is in the
// stream, on both sides. Requests without a value do. Without Fixed the first request decides, and all reach it.
func TestFixed(t *testing.T) {
	text := field.String("text")
	changing := []string{"shop", "", "bank", "shop"}
	for name, test := range map[string]struct {
		field       field.Field
		texts, want []string // what is sent, and what the handler receives
		code        codes.Code
	}{
		"changes":                  {text.Fixed(), changing, changing[:2], codes.InvalidArgument},
		"the same":                 {text.Fixed(), []string{"shop", "shop", ""}, []string{"shop", "shop", ""}, codes.OK},
		"one request":              {text.Fixed(), []string{"shop"}, []string{"shop"}, codes.OK},
		"optional, later a value":  {text.Fixed().Optional(), []string{"", "bank"}, []string{""}, codes.InvalidArgument},
		"optional, none":           {text.Optional().Fixed(), []string{"", ""}, []string{"", ""}, codes.OK},
		"not fixed: first decides": {text, changing, changing, codes.OK},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				if !c.Kind.ClientStreams() {
					return // they have one request
				}
				got := make(chan []string, 1)
				backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
					texts, err := received(s)
					got <- texts
					if err != nil {
						return err
					}
					return s.Send(&testpb.Response{})
				}}
				kept := ""
				env := c.StartWith(t, backend, field.Set(projectKey, test.field),
					see(func(call *hauberk.Call) { kept, _ = projectKey.Get(call) }))
				out := env.Call(t.Context(), test.texts...)
				reason := ""
				if test.code != codes.OK {
					reason = field.ReasonChanged
				}
				wantOutcome(t, out, test.code, reason)
				texts := <-got
				same := slices.Equal(texts, test.want)
				if !same && (c.Side == hauberk.ServerSide || len(texts) > len(test.want)) { // a client resets the stream
					t.Errorf("the handler receives %q; want %q", texts, test.want)
				}
				if kept != test.texts[0] {
					t.Errorf("the state has %q; want the value of the first request", kept)
				}
				if c.Side == hauberk.ClientSide && test.code != codes.OK && !errors.Is(out.Err, field.ErrChanged) {
					t.Errorf("%v is not ErrChanged", out.Err)
				}
			})
		})
	}
}

// TestFixedInShadow: in a dry run no stream ends.
func TestFixedInShadow(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi} {
		env := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}.Start(t,
			hauberk.Shadow(field.Set(projectKey, field.String("text").Fixed())))
		wantOutcome(t, env.Call(t.Context(), "shop", "bank"), codes.OK, "")
	}
}

// TestFixedKey: a key of a limit is not fixed, and New says what would be right.
func TestFixedKey(t *testing.T) {
	_, err := hauberk.New(ratelimit.New(ratelimit.Config{Limit: 1, Per: 1, By: field.String("text").Fixed().Key()}))
	if err == nil || !strings.Contains(err.Error(), "PerMessage") {
		t.Errorf("%v; want an error that names PerMessage", err)
	}
}
