package clock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/clock"
)

func TestElapsed(t *testing.T) {
	at := time.Unix(1_700_000_000, 0) // without a monotonic reading
	elapsed := clock.Elapsed(func() time.Time { return at })
	for _, want := range []time.Duration{0, time.Second, time.Hour, -time.Minute} {
		at = time.Unix(1_700_000_000, 0).Add(want)
		if got := elapsed(); got != want {
			t.Errorf("%v have passed, want %v", got, want)
		}
	}
}

func TestElapsedByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		elapsed := clock.Elapsed(nil)
		<-time.After(time.Minute)
		if got := elapsed(); got != time.Minute {
			t.Errorf("%v have passed, want a minute", got)
		}
	})
}
