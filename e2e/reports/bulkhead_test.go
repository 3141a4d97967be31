package reports_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
)

// TestReportAbandonedWaiters: calls that give up waiting, by their client or by MaxWait, take no slot with them, and those that
// wait longer get one (failsafe-lib/failsafe#393, failsafe-lib/failsafe#365, resilience4j/resilience4j#2336).
func TestReportAbandonedWaiters(t *testing.T) {
	hauberktest.CheckLeaks(t)
	const slots = 4
	for name, maxWait := range map[string]time.Duration{"cancelled": time.Hour, "waited": time.Millisecond} {
		for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
			limiter := concurrency.New(concurrency.Config{Limit: slots, MaxWaiting: slots, MaxWait: maxWait})
			running, release := make(chan struct{}), make(chan struct{})
			s := setup{handle: func(ctx context.Context, stream hauberktest.Stream) error {
				running <- struct{}{}
				<-release
				return hauberktest.Echo(ctx, stream)
			}}
			if side == hauberk.ServerSide {
				s.server = []hauberk.Interceptor{limiter}
			} else {
				s.client = []hauberk.Interceptor{limiter}
			}
			to := s.start(t)
			until := func(holds func(s concurrency.Snapshot) bool) { // a server may learn of the end of a call later than its client
				for !holds(limiter.Snapshot()) {
					<-time.After(time.Millisecond)
				}
			}
			for round := range 5 {
				var group, waiters sync.WaitGroup
				for i := range slots {
					group.Go(func() {
						if err := to.call(t.Context(), kinds[i%len(kinds)], nil); err != nil {
							t.Errorf("%s, %v, round %d: %v", name, side, round, err)
						}
					})
				}
				for range slots {
					<-running // all have a slot
				}
				ctx, cancel := context.WithCancel(t.Context())
				before := limiter.Snapshot()
				for i := range slots {
					waiters.Go(func() {
						err := to.call(ctx, kinds[i%len(kinds)], nil)
						if c := status.Code(err); c != codes.Canceled && c != codes.ResourceExhausted {
							t.Errorf("%s, %v, round %d: a call that waits: %v", name, side, round, err)
						}
					})
				}
				if name == "cancelled" {
					until(func(s concurrency.Snapshot) bool { return s.Waiting == slots })
					cancel()
				}
				waiters.Wait()
				cancel()
				until(func(s concurrency.Snapshot) bool { return s.Waiting == 0 })
				if now := limiter.Snapshot(); now.Admitted != before.Admitted || now.Running != slots {
					t.Errorf("%s, %v, round %d: %+v; want no call admitted", name, side, round, now)
				}
				for range slots {
					release <- struct{}{}
				}
				group.Wait()
				until(func(s concurrency.Snapshot) bool { return s.Running == 0 })
			}
		}
	}
}
