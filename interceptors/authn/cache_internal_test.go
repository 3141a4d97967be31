package authn

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// counting is a validator that counts how often it runs.
func counting(n *int, expires func() time.Time) Validator {
	return func(_ context.Context, token string) (*Identity, error) {
		*n++
		if token == "bad" {
			return nil, ErrInvalidToken
		}
		return &Identity{Subject: token, Expires: expires()}, nil
	}
}

// A token is validated once until it expires, or its time is over; without both it is
// not kept. Rejected tokens are not kept.
func TestCache(t *testing.T) {
	inAnHour := func() time.Time { return time.Now().Add(time.Hour) }
	never := func() time.Time { return time.Time{} }
	for name, c := range map[string]struct {
		options []BearerOption
		expires func() time.Time
		lasts   time.Duration // 0: not kept
	}{
		"until it expires":       {[]BearerOption{CacheTokens(10, 0)}, inAnHour, time.Hour},
		"for a minute":           {[]BearerOption{CacheTokens(10, time.Minute)}, inAnHour, time.Minute},
		"longer than it is good": {[]BearerOption{CacheTokens(10, 2*time.Hour)}, inAnHour, time.Hour},
		"without an end":         {[]BearerOption{CacheTokens(10, 0)}, never, 0},
		"a minute without end":   {[]BearerOption{CacheTokens(10, time.Minute)}, never, time.Minute},
		"no cache":               {nil, inAnHour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				runs := 0
				x := Bearer(counting(&runs, c.expires), c.options...).(*bearer)
				expect := func(when string, want int) {
					t.Helper()
					if id, err := x.identityOf(t.Context(), "alice"); err != nil || id.Subject != "alice" || runs != want {
						t.Errorf("%s: %v, %v, validated %d times; want %d", when, id, err, runs, want)
					}
				}
				expect("first", 1)
				if c.lasts == 0 {
					expect("second", 2)
					return
				}
				expect("second", 1)
				time.Sleep(c.lasts - 1) //nolint:forbidigo // synctest: the clock is fake
				expect("just before the end", 1)
				time.Sleep(time.Nanosecond) //nolint:forbidigo // as above
				expect("at the end", 2)
				for range 3 {
					_, _ = x.identityOf(t.Context(), "bad")
				}
				if runs != 5 {
					t.Errorf("validated %d times; want each rejected token to be validated again", runs)
				}
			})
		})
	}
}

// However many tokens there are, the cache is bounded, and keeps a token that is in use.
func TestCacheIsBounded(t *testing.T) {
	runs := 0
	x := Bearer(counting(&runs, func() time.Time { return time.Now().Add(time.Hour) }), CacheTokens(100, 0)).(*bearer)
	for i := range 10_000 {
		_, _ = x.identityOf(t.Context(), fmt.Sprint("token ", i))
		if _, _ = x.identityOf(t.Context(), "alice"); x.cache.Len() > 100 {
			t.Fatalf("%d tokens are kept", x.cache.Len())
		}
	}
	if runs != 10_001 {
		t.Errorf("validated %d times; want the token in use once", runs)
	}
}
