package hedge_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
)

// retryPolicy is a service config with grpc-go's own retries.
const retryPolicy = `{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 2, "initialBackoff": "0.001s",
	"maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`

// TestTransportRetries: a call that grpc-go retries by its service config is not hedged on top: not
// after a failure, not at the delay, and not when the server asks for it. Its error says so if it
// fails, and its status stays.
func TestTransportRetries(t *testing.T) {
	config := grpc.WithDefaultServiceConfig(retryPolicy)
	failed := step{code: codes.Unavailable}
	for _, c := range []struct {
		name   string
		step   step
		dial   []grpc.DialOption
		config hedge.Config
		starts int
		nested bool
	}{
		{"failure", failed, []grpc.DialOption{config}, hedge.Config{}, 2, true},
		{"slow failure", step{after: 3 * delay, code: codes.NotFound}, []grpc.DialOption{config}, hedge.Config{}, 1, true},
		{"slow success", step{after: 3 * delay}, []grpc.DialOption{config}, hedge.Config{}, 1, false},
		{"turned off", failed, []grpc.DialOption{config, grpc.WithDisableRetry()}, hedge.Config{}, 2, false},
		{"no retryPolicy", failed, []grpc.DialOption{grpc.WithDefaultServiceConfig(`{}`)}, hedge.Config{}, 2, false},
		{"not hedged", failed, []grpc.DialOption{config}, hedge.Config{MaxAttempts: 1}, 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			simulated(t, func(t *testing.T, kind hauberk.Kind) {
				s := scripted(c.step)
				env := hauberktest.Start(t, hauberktest.Setup{
					Kind: kind, Backend: &s.Backend, DialOptions: c.dial, Client: hauberk.Must(hauberk.New(all(c.config))),
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				out := env.Call(ctx)
				wantCode(t, out.Err, c.step.code)
				if got := len(s.starts); got != c.starts {
					t.Errorf("%d attempts, want %d", got, c.starts)
				}
				if got := errors.Is(out.Err, hedge.ErrTransportRetries); got != c.nested {
					t.Errorf("ErrTransportRetries is %t in %v, want %t", got, out.Err, c.nested)
				}
			})
		})
	}
}
