package ratelimitredis_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// Demands of a call on the same quota are met together, or the call takes none of their permits: with and without
// leases, with and without other demands, while calls on the same keys wait for each other's requests.
func TestEqualDemands(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		for _, a := range algorithms {
			for _, permits := range []int{10, 4000} {
				config := at(addr)
				config.Name = fmt.Sprint(a, permits)
				q, store := open(t, config, limitOf(a, permits, time.Hour), limitOf(a, 2*permits, time.Hour))
				of := func(limit int, key string, n int) ratelimit.Demand {
					return ratelimit.Demand{Limit: limit, Key: []byte(key), Permits: n}
				}
				oks := func(demands ...ratelimit.Demand) []bool {
					var oks []bool
					for _, d := range takeAll(t, q, demands...) {
						if oks = append(oks, d.OK); d.OK != (d.RetryAfter == 0) {
							t.Errorf("%s, %d: %+v", a, permits, d)
						}
					}
					return oks
				}
				check := func(what string, got []bool, want ...bool) {
					t.Helper()
					if !slices.Equal(got, want) {
						t.Errorf("%s, %d: %s: %t, want %t", a, permits, what, got, want)
					}
				}
				half := permits / 2
				check("half, twice", oks(of(0, "a", half), of(1, "a", 1), of(0, "a", half)), true, true, true)
				check("none left", oks(of(0, "a", 1), of(0, "a", 1)), false, false)
				check("more than a quota", oks(of(0, "b", half), of(0, "b", half+1), of(1, "b", 1)), true, false, true)
				check("nothing was taken", oks(of(0, "b", half), of(0, "b", half)), true, true)
				check("a part of three", oks(of(0, "c", half+1), of(0, "c", half), of(0, "c", 1)), true, false, true)
				check("a key and a peer", oks(of(0, "d", permits),
					ratelimit.Demand{Key: []byte("d"), Permits: permits, Peer: true}, of(1, "d", permits)), true, true, true)
				check("the state", oks(of(0, "d", 0), of(0, "d", 0)), true, true)
				before := store.RoundTrips()
				for range 5 {
					check("again", oks(of(0, "e", 1), of(0, "e", 1)), true, true)
				}
				if n := store.RoundTrips() - before; n < 1 || n > 5 {
					t.Errorf("%s, %d: %d round trips", a, permits, n)
				}
				d := take(t, q, of(0, "e", 0))
				if d.Remaining > permits-10 || d.Remaining < permits-10-permits/400 {
					t.Errorf("%s, %d: %+v remain, want 10 taken, and a lease", a, permits, d)
				}
			}
		}
	})
}
