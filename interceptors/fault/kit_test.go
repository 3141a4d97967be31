package fault_test

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/fault"
)

// TestMain drops the warnings of the chains of the tests.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// one is a configuration with one rule, for all calls if it has no percentage.
func one(r fault.Rule) fault.Config {
	if r.Percentage == 0 {
		r.Percentage = 100
	}
	return fault.Config{Seed: 7, Rules: []fault.Rule{r}}
}

// unavailable aborts with UNAVAILABLE.
func unavailable() *fault.Abort { return &fault.Abort{Code: codes.Unavailable} }

// counting is a backend that counts the calls and the requests it has handled.
type counting struct {
	hauberktest.Backend

	calls, requests int
}

func newCounting() *counting {
	b := new(counting)
	b.Handle = func(ctx context.Context, s hauberktest.Stream) error {
		b.calls++
		return hauberktest.Echo(ctx, &counted{s, b})
	}
	return b
}

// chainOf returns a chain.
func chainOf(t testing.TB, interceptors ...hauberk.Interceptor) *hauberk.Chain {
	t.Helper()
	chain, err := hauberk.New(interceptors...)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := hauberk.CodeOf(err); got != want {
		t.Errorf("the call ended with %v; want %s", err, want)
	}
}

// value returns a measurement.
func value(x *fault.Interceptor, nameAndLabel string) float64 {
	for _, m := range x.Measurements() {
		if m.Name+m.LabelValue == nameAndLabel {
			return m.Value
		}
	}
	return -1
}

// pass lets time pass.
func pass(d time.Duration) { <-time.After(d) }
