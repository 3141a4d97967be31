package contract_test

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

type rateLimitConfig struct {
	head

	Limit     int     `json:"limit"`
	WindowMS  float64 `json:"window_ms"`
	Algorithm string  `json:"algorithm"`
	Key       string  `json:"key"`
	Burst     int     `json:"burst"`
}

// newRateLimit creates ratelimit with the defaults of the scenarios: a sliding window of a minute,
// by user.
func newRateLimit(w *world, c rateLimitConfig) (part, error) {
	by, err := limitKey(cmp.Or(c.Key, "user"))
	if err != nil {
		return part{}, err
	}
	config := ratelimit.Config{Limit: c.Limit, Per: cmp.Or(millis(c.WindowMS), time.Minute), By: by}
	switch c.Algorithm {
	case "", "sliding_window":
		config.Algorithm = ratelimit.SlidingWindow
	case "fixed_window":
		config.Algorithm = ratelimit.FixedWindow
	case "token_bucket":
		config.Algorithm, config.Burst = ratelimit.GCRA, c.Burst
	default:
		return part{}, fmt.Errorf("the algorithm %q is not known", c.Algorithm)
	}
	return stateless(ratelimit.New(config, ratelimit.WithClock(w.clock.now))), nil
}

// limitKey returns the key of a limit. It reads the user without declaring the key, since some
// scenarios have limits by user without authentication.
func limitKey(name string) (callkey.Key, error) {
	header, isMetadata := strings.CutPrefix(name, "metadata:")
	switch {
	case isMetadata:
		return callkey.Metadata(header), nil
	case name == "method":
		return callkey.Method(), nil
	case name == "global":
		return callkey.Global(), nil
	case name == "user":
		return callkey.Func("user", func(_ context.Context, call *hauberk.Call) (string, bool) {
			return authn.User.Get(call)
		}), nil
	default:
		return callkey.Key{}, fmt.Errorf("the key %q is not known", name)
	}
}
