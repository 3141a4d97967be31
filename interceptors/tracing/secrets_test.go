package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// everything returns all texts in spans.
func everything(spans []sdktrace.ReadOnlySpan) string {
	var all strings.Builder
	for _, s := range spans {
		fmt.Fprintln(&all, s.Name(), s.Attributes(), s.Status(), s.Links(), s.SpanContext().TraceState())
		for _, e := range s.Events() {
			fmt.Fprintln(&all, e.Name, e.Attributes)
		}
	}
	return all.String()
}

var claims = hauberk.NewKey[map[string]string]("claims")

// Spans do not contain metadata, messages, claims, panic values and causes of errors (ATTACKS G01).
func TestSecrets(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		for name, end := range map[string]func() error{
			"OK":    nil,
			"error": func() error { return errors.New("canary-error") },
			"cause": func() error {
				return &hauberk.Rejection{Code: codes.Internal, Reason: "BROKEN", Message: "broken", Cause: errors.New("canary-cause")}
			},
			"panic":   func() error { panic("canary-panic") },
			"nothing": func() error { return nil }, // without a response
		} {
			s := record()
			leaf := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				claims.Set(call, map[string]string{"sub": "canary-claim"})
				if end == nil {
					return next(ctx, call)
				}
				return end()
			})
			config := tracing.Config{MessageEvents: true, ClientPeer: true}
			env := c.StartWith(t, secretive(), recovering(), tracing.New(config, s.option()), leaf)
			ctx := calling(t.Context(), "authorization", "Bearer canary-token", "cookie", "canary-cookie",
				"x-api-key", "canary-key", "x-secret-bin", "canary-bin", "baggage", "canary=canary-baggage",
				"user-agent", "canary-agent")
			_ = env.Call(ctx, "canary-request")
			env.Server.GracefulStop()
			if len(s.Ended()) != 1 {
				t.Fatalf("%s: %d spans", name, len(s.Ended()))
			}
			if all := everything(s.Ended()); strings.Contains(all, "canary") {
				t.Errorf("%s: a secret is in\n%s", name, all)
			}
		}
	})
}

// secretive answers with secrets in header, trailer and message.
func secretive() *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		if err := s.SetHeader(metadata.Pairs("x-token", "canary-header")); err != nil {
			return err
		}
		s.SetTrailer(metadata.Pairs("x-token", "canary-trailer"))
		return hauberktest.Echo(ctx, s)
	}}
}
