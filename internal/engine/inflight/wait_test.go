package inflight_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/hauberk-rpc/hauberk/internal/clock"
	"github.com/hauberk-rpc/hauberk/internal/engine/inflight"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// plan is what a simulated call does.
type plan struct {
	inflight.Request

	at, work, cancel, timeout time.Duration // cancel and timeout: 0 for none
}

func drawPlans(r *rapid.T) []plan {
	ms := func(most int, name string) time.Duration {
		return time.Duration(rapid.IntRange(0, most).Draw(r, name)) * time.Millisecond
	}
	plans := make([]plan, rapid.IntRange(1, 60).Draw(r, "calls"))
	for i := range plans {
		plans[i] = plan{at: ms(200, "at"), work: ms(60, "work"), Request: inflight.Request{
			Tenant:   rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "tenant"),
			Priority: rapid.IntRange(-1, 1).Draw(r, "priority"),
		}}
		switch rapid.IntRange(0, 3).Draw(r, "ends") {
		case 1:
			plans[i].cancel = ms(80, "cancel") + time.Millisecond
		case 2:
			plans[i].timeout = ms(80, "timeout") + time.Millisecond
		}
	}
	return plans
}

// TestWait runs calls in simulated time: never more than the limit at once, none waits longer than
// MaxWait, beyond its deadline or after it is cancelled, and every slot returns.
func TestWait(t *testing.T) {
	testseed.Check(t, func(r *rapid.T) {
		config := inflight.Config{
			Limit: rapid.IntRange(1, 5).Draw(r, "limit"), MaxWaiting: rapid.IntRange(0, 20).Draw(r, "waiting"),
			MaxWait: time.Duration(rapid.IntRange(1, 50).Draw(r, "wait")) * time.Millisecond,
		}
		plans := drawPlans(r)
		var failure error
		synctest.Test(t, func(*testing.T) { failure = simulate(config, plans) })
		if failure != nil {
			r.Fatal(failure)
		}
	})
}

func simulate(config inflight.Config, plans []plan) error {
	s := &simulation{limiter: inflight.New(config), config: config, now: clock.Elapsed(nil)}
	var calls sync.WaitGroup
	for _, p := range plans {
		calls.Go(func() { s.call(p) })
	}
	calls.Wait()
	snapshot := s.limiter.Snapshot()
	if snapshot.Running != 0 || snapshot.Waiting != 0 || s.running != 0 {
		s.failf("at the end %+v, %d running", snapshot, s.running)
	}
	if n := snapshot.Full + snapshot.Waited + snapshot.NoTime + snapshot.Displaced + snapshot.Left; n != uint64(s.rejected) {
		s.failf("%+v does not add up to %d rejected calls", snapshot, s.rejected)
	}
	return s.failure
}

type simulation struct {
	limiter *inflight.Limiter
	config  inflight.Config
	now     func() time.Duration

	mu       sync.Mutex
	running  int
	rejected int
	failure  error
}

func (s *simulation) call(p plan) {
	<-time.After(p.at)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if p.cancel > 0 {
		defer time.AfterFunc(p.cancel, cancel).Stop()
	}
	if p.timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, p.timeout)
		defer cancel()
	}
	var slot inflight.Slot
	asked := s.now()
	if deadline, ok := ctx.Deadline(); ok {
		p.Deadline, p.HasDeadline = asked+time.Until(deadline), true
	}
	err := error(nil)
	if !s.limiter.Try(asked, &p.Request, &slot) {
		err = s.limiter.Wait(ctx, inflight.Clock{Now: s.now, AfterFunc: afterFunc}, &p.Request, &slot)
	}
	s.began(p, err, s.now()-asked, slot.Held())
	if err == nil {
		<-time.After(p.work)
		s.mu.Lock()
		s.running--
		s.mu.Unlock()
		s.limiter.Release(s.now(), &slot, true)
	}
}

func afterFunc(d time.Duration, f func()) (stop func() bool) { return time.AfterFunc(d, f).Stop }

func (s *simulation) began(p plan, err error, waited time.Duration, held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if held != (err == nil) {
		s.failLockedf("a slot is held: %t, with the error %v", held, err)
	}
	if err == nil {
		s.running++
		if s.running > s.config.Limit {
			s.failLockedf("%d calls in flight, the limit is %d", s.running, s.config.Limit)
		}
	} else {
		s.rejected++
	}
	if waited > s.config.MaxWait || p.cancel > 0 && waited > p.cancel || p.timeout > 0 && waited > p.timeout {
		s.failLockedf("a call waited %v, of %v: %+v", waited, s.config.MaxWait, p)
	}
	if errors.Is(err, inflight.ErrWaited) && waited != s.config.MaxWait {
		s.failLockedf("a call waited too long after %v", waited)
	}
}

func (s *simulation) failf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failLockedf(format, args...)
}

func (s *simulation) failLockedf(format string, args ...any) {
	if s.failure == nil {
		s.failure = fmt.Errorf(format, args...)
	}
}
