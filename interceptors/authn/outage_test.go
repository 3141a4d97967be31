package authn_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// TestOutageOfTheIssuer: an outer retry repeats a call whose source is UNAVAILABLE, and an outer
// breaker does not count it, since nothing was sent.
func TestOutageOfTheIssuer(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		if c.Side != hauberk.ClientSide {
			return
		}
		down, asked := true, 0
		source := authn.TokenFunc(func(context.Context) (string, error) {
			asked++
			if down {
				return "", status.Error(codes.Unavailable, "issuer down")
			}
			return "abc", nil
		})
		circuit := breaker.New(breaker.Config{FailureThreshold: 1})
		env := c.Start(t, retry.New(retry.Config{AllMethods: true, InitialBackoff: time.Nanosecond, MaxAttempts: 3}), circuit,
			authn.NewClient(source, authn.ClientConfig{AllowClearText: true}))
		want := 3
		if c.Kind.ClientStreams() {
			want = 1 // retry does not repeat them by default
		}
		if err := env.Call(t.Context()).Err; status.Code(err) != codes.Unavailable || asked != want {
			t.Errorf("%v after %d attempts, want UNAVAILABLE after %d", err, asked, want)
		}
		down = false
		if err := env.Call(t.Context()).Err; err != nil {
			t.Errorf("the issuer is back: %v; the circuits are %v", err, circuit.States())
		}
	})
}
