//go:build !race

package loadsim_test

import (
	"testing"

	"github.com/hauberk-rpc/hauberk/internal/loadsim"
)

// A thousand nodes that share a limit, of which one is lost in each second: at most 1 % more than the limit is
// admitted in a second, and at least 99 % of what is asked for within it, in equal parts. Each node alone has too
// few calls for leases to save messages: the store gets about one for each call, and at most 1.1.
func TestManyNodes(t *testing.T) {
	for _, factor := range []float64{0.5, 0.95, 2} {
		seconds := loadsim.ManyNodes(factor, 1).Run()
		for i, s := range seconds {
			t.Logf("%v times the limit: %+v", factor, s)
			if i == 0 {
				continue // has the burst
			}
			if s.Admitted > loadsim.SharedLimit*101/100 {
				t.Errorf("second %d: %d calls admitted", i, s.Admitted)
			}
			if least := 0.99 * min(float64(s.Calls), loadsim.SharedLimit); float64(s.Admitted) < least {
				t.Errorf("second %d: %d of %d calls admitted", i, s.Admitted, s.Calls)
			}
			if s.Fairness < 0.95 {
				t.Errorf("second %d: fairness %.3f", i, s.Fairness)
			}
			if float64(s.Trips) > 1.1*float64(s.Calls) {
				t.Errorf("second %d: %d messages for %d calls", i, s.Trips, s.Calls)
			}
		}
	}
}
