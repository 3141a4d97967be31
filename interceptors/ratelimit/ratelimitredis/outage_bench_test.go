package ratelimitredis_test

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitredis"
	"github.com/hauberk-rpc/hauberk/internal/redistest"
)

// BenchmarkOutage makes calls at a steady rate, each with a new key, from the moment at which a server is killed or
// stopped. It reports the time that the limit adds to a call, at the 50th and the 99th percentile and at most, and
// how many calls in a thousand waited for the server in vain. "answers" is the same with a server that answers:
//
//	go test -run - -bench Outage -benchtime 4000x ./interceptors/ratelimit/ratelimitredis
func BenchmarkOutage(b *testing.B) {
	for _, o := range []struct {
		name       string
		begin, end func(s *redistest.Server)
	}{
		{"answers", func(*redistest.Server) {}, func(*redistest.Server) {}},
		{"killed", (*redistest.Server).Kill, func(*redistest.Server) {}},
		{"stopped", (*redistest.Server).Pause, (*redistest.Server).Resume},
	} {
		for _, mode := range []ratelimit.FailureMode{ratelimit.FailLocal, ratelimit.FailOpen, ratelimit.FailClosed} {
			b.Run(o.name+"/"+mode.String(), func(b *testing.B) {
				s := redistest.Start(b)
				store := ratelimitredis.New(ratelimitredis.Config{Addresses: []string{s.Addr}, Name: "outage"})
				b.Cleanup(func() { _ = store.Close() })
				limiter := ratelimit.New(ratelimit.Config{
					Limit: 100, Per: time.Minute, By: callkey.Metadata("user"), Shared: ratelimit.Shared{Fail: mode},
				}, ratelimit.WithStore(store), ratelimit.WithLogger(slog.New(slog.DiscardHandler)))
				var g gauge
				env := hauberktest.Case{}.Start(b, hauberk.Func(g.outside), limiter, hauberk.Func(g.inside))
				redistest.Eventually(b, "the server is used", func() bool {
					_ = env.Call(b.Context())
					_, failing := limiter.StoreFailures()
					return !failing && s.Do("DBSIZE") != "0"
				})
				before, _ := limiter.StoreFailures()
				o.begin(s)
				b.ResetTimer()
				g.took = nil
				steady(b, env)
				b.StopTimer()
				o.end(s)
				after, _ := limiter.StoreFailures()
				slices.Sort(g.took)
				at := func(part float64) float64 { return g.took[int(part*float64(len(g.took)-1))].Seconds() * 1000 }
				b.ReportMetric(at(0.5), "p50-ms")
				b.ReportMetric(at(0.99), "p99-ms")
				b.ReportMetric(at(1), "max-ms")
				b.ReportMetric(1000*float64(after-before)/float64(b.N), "failures/1000")
				b.ReportMetric(0, "ns/op") // the rate is fixed
			})
		}
	}
}

// gauge measures how long calls take from outside of an interceptor to inside of it, or until it rejects them.
type gauge struct {
	mu   sync.Mutex
	took []time.Duration
}

// arrivedKey has the time at which a call was inside.
var arrivedKey = hauberk.NewKey[time.Time]("arrived")

func (g *gauge) outside(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	began := time.Now()
	err := next(ctx, call)
	until, ok := arrivedKey.Get(call)
	if !ok {
		until = time.Now()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.took = append(g.took, until.Sub(began))
	return err
}

func (*gauge) inside(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	arrivedKey.Set(call, time.Now())
	return next(ctx, call)
}

// steady makes b.N calls, about 1,600 a second, each with another key.
func steady(b *testing.B, env *hauberktest.Env) {
	b.Helper()
	const callers = 8
	var made atomic.Int64
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for i := made.Add(1); i <= int64(b.N); i = made.Add(1) {
				<-tick.C
				_ = env.Call(metadata.AppendToOutgoingContext(b.Context(), "user", strconv.FormatInt(i, 10)))
			}
		})
	}
	group.Wait()
}
