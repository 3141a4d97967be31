package attacks_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
)

// factory is a server that works on a number of calls at a time, behind a limit, in simulated time.
type factory struct {
	limit   *concurrency.Interceptor
	workers chan struct{}
	service func() time.Duration
	start   time.Time
	serve   func(ctx context.Context) error

	mu       sync.Mutex
	served   map[string][]int // by caller, in each second
	rejected map[string]int
	least    int // of the limit
	random   *rand.Rand
	calls    sync.WaitGroup
}

func newFactory(workers int, limit *concurrency.Interceptor, service func() time.Duration) *factory {
	f := &factory{
		limit: limit, workers: make(chan struct{}, workers), service: service, start: time.Now(),
		served: make(map[string][]int), rejected: make(map[string]int), least: 1 << 30, random: rand.New(rand.NewPCG(1, 2)),
	}
	work := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		f.workers <- struct{}{}
		<-time.After(f.duration())
		<-f.workers
		return next(ctx, call)
	})
	f.serve = hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(limit, work)))
	return f
}

func (f *factory) duration() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Duration(float64(f.service()) * (0.5 + f.random.Float64()))
}

// second returns how many seconds have passed.
func (f *factory) second() int { return int(time.Since(f.start) / time.Second) }

// load makes calls of a caller, rate a second, until a time.
func (f *factory) load(caller string, rate int, length time.Duration) {
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("tenant", caller))
	for end := f.start.Add(length); time.Now().Before(end); {
		<-time.After(time.Second / time.Duration(rate))
		f.calls.Go(func() {
			err := f.serve(ctx)
			f.mu.Lock()
			defer f.mu.Unlock()
			if status.Code(err) != codes.OK {
				f.rejected[caller]++
				return
			}
			for len(f.served[caller]) <= f.second() {
				f.served[caller] = append(f.served[caller], 0)
			}
			f.served[caller][f.second()]++
			f.least = min(f.least, f.limit.Limits()[0].Limit)
		})
	}
}

// throughput returns the mean of the calls that were served in each second from one to another.
func (f *factory) throughput(caller string, from, until int) float64 {
	sum := 0
	for _, n := range f.served[caller][from:min(until, len(f.served[caller]))] {
		sum += n
	}
	return float64(sum) / float64(until-from)
}

// TestB07LatencyStep makes the service ten times slower and back, in simulated time, without and with 5 % of calls
// that take a hundred times as long: the throughput is back within 30 s, and the limit is never at its floor.
func TestB07LatencyStep(t *testing.T) {
	const workers, up, down, end = 20, 15, 60, 100 // seconds
	const fast = 20 * time.Millisecond
	for _, slow := range []float64{0, 0.05} {
		synctest.Test(t, func(t *testing.T) {
			const floor = 4
			limit := concurrency.New(concurrency.Config{Adaptive: &concurrency.Adaptive{Min: floor}})
			var f *factory
			f = newFactory(workers, limit, func() time.Duration {
				switch second := f.second(); {
				case f.random.Float64() < slow:
					return 100 * fast
				case second >= up && second < down:
					return 10 * fast
				default:
					return fast
				}
			})
			f.load("all", 1300, end*time.Second)
			f.calls.Wait()
			before := f.throughput("all", 5, up)
			t.Logf("slow %v: %.0f before, %.0f in the step, %.0f after; least limit %d",
				slow, before, f.throughput("all", up+30, down), f.throughput("all", down+30, end), f.least)
			if f.least <= floor {
				t.Errorf("the limit was %d, its floor", f.least)
			}
			if slow > 0 {
				capacity := workers / ((1-slow)*fast.Seconds() + slow*100*fast.Seconds())
				if got := f.throughput("all", 5, end); got < capacity/3 {
					t.Errorf("%.0f calls a second of %.0f", got, capacity)
				}
				return
			}
			if got := f.throughput("all", up+30, down); got < 0.9*before/10 {
				t.Errorf("30 s after the step: %.0f calls a second, %.0f before", got, before)
			}
			if got := f.throughput("all", down+30, end); got < 0.9*before {
				t.Errorf("30 s after the step back: %.0f calls a second, %.0f before", got, before)
			}
		})
	}
}

// TestB08NoisyNeighbour has one tenant ask for 20 times its share. Another at half of its share loses no call, with a
// fixed and with an adaptive limit.
func TestB08NoisyNeighbour(t *testing.T) {
	const slots, service, length = 20, 50 * time.Millisecond, 20 * time.Second
	share := int(slots / 2 / service.Seconds()) // calls a second
	for name, config := range map[string]concurrency.Config{
		"fixed":    {Limit: slots},
		"adaptive": {Adaptive: &concurrency.Adaptive{Initial: slots, Min: slots, Max: 2 * slots}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config.Tenant, config.MaxWaiting = callkey.Metadata("tenant"), 40
				f := newFactory(slots, concurrency.New(config), func() time.Duration { return service })
				var loads sync.WaitGroup
				loads.Go(func() { f.load("loud", 20*share, length) })
				loads.Go(func() { f.load("quiet", share/2, length) })
				loads.Wait()
				f.calls.Wait()
				quiet, loud := f.throughput("quiet", 0, 20), f.throughput("loud", 0, 20)
				t.Logf("quiet %.0f of %d, loud %.0f of %d calls a second", quiet, share/2, loud, 20*share)
				if f.rejected["quiet"] != 0 || quiet < 0.98*float64(share/2) {
					t.Errorf("the quiet tenant lost %d calls, and had %.0f of %d a second", f.rejected["quiet"], quiet, share/2)
				}
				if loud < 0.9*float64(share) {
					t.Errorf("the loud tenant had %.0f calls a second; want its share, %d", loud, share)
				}
			})
		})
	}
}

// TestX12HungBackend makes 5,000 calls a second to a backend that never answers, in simulated time: no more than the limit
// are in flight, no more than the queue wait, and calls beyond that are rejected at once.
func TestX12HungBackend(t *testing.T) {
	const slots, queue, wait = 50, 100, time.Second
	synctest.Test(t, func(t *testing.T) {
		limit := concurrency.New(concurrency.Config{Limit: slots, MaxWaiting: queue, MaxWait: wait})
		release := make(chan struct{})
		hung := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
			<-release
			return status.Error(codes.Aborted, "hung")
		})
		serve := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(limit, hung)))
		var calls sync.WaitGroup
		var mu sync.Mutex
		reasons := make(map[string]int)
		for range 10_000 {
			<-time.After(time.Second / 5000)
			calls.Go(func() {
				began := time.Now()
				err := serve(context.Background())
				took, reason := time.Since(began), hauberk.Reason(err)
				if reason == concurrency.ReasonFull && took != 0 || reason == concurrency.ReasonWaited && took != wait {
					t.Errorf("rejected with %s after %v", reason, took)
				}
				mu.Lock()
				defer mu.Unlock()
				reasons[reason]++
			})
			if s := limit.Snapshot(); s.Running > slots || s.Waiting > queue {
				t.Fatalf("%+v", s)
			}
		}
		close(release)
		calls.Wait()
		if reasons[""] < slots || reasons[concurrency.ReasonFull] < 9000 || reasons[concurrency.ReasonWaited] < queue {
			t.Errorf("outcomes %v", reasons)
		}
	})
}
