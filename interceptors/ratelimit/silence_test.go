package ratelimit_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// A store that does not answer fails, although all calls have deadlines below Shared.Timeout, or are cancelled: after a
// few of them the others get the failure mode. A store that answers does not fail, however short the deadlines are.
func TestSilenceOutlastsCalls(t *testing.T) {
	for _, cancels := range []bool{false, true} {
		for _, hangs := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := &store{}
				x := ratelimit.New(ratelimit.Config{Limit: 2000, Per: time.Second, By: callkey.Global()}, ratelimit.WithStore(s))
				call := server(t, x)
				s.fail(nil, hangs)
				failed := 0
				for range 1000 {
					ctx, cancel := context.WithTimeout(from(tcp("192.0.2.1")), ratelimit.DefaultTimeout*3/4)
					if cancels {
						cancel()
						ctx, cancel = context.WithCancel(from(tcp("192.0.2.1")))
						time.AfterFunc(ratelimit.DefaultTimeout/2, cancel)
					}
					if call(ctx) != nil {
						failed++
					}
					cancel()
				}
				synctest.Wait()
				n, failing := x.StoreFailures()
				if want := map[bool]uint64{true: 3}[hangs]; failed > 10 || failing != hangs || n != want {
					t.Errorf("hangs %t, cancels %t: %d of 1000 calls failed; %d store failures, failing %t",
						hangs, cancels, failed, n, failing)
				}
				s.fail(nil, false)
				<-time.After(ratelimit.DefaultRetryStore)
				if err := call(from(tcp("192.0.2.1"))); err != nil {
					t.Error(err)
				}
				if _, failing := x.StoreFailures(); failing {
					t.Error("a store that answers again still fails")
				}
			})
		}
	}
}
