package attacks_test

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitredis"
)

// fleet is servers whose limits share quotas in Redis, each with its own store.
type fleet struct {
	nodes  []*target
	limits []*ratelimit.Interceptor
	stores []*ratelimitredis.Store

	mu       sync.Mutex // guards the following fields
	admitted []passed
}

// passed is a call that the limit of a node has admitted.
type passed struct {
	key   string
	begin time.Time // before the limit
	at    time.Time // behind it
}

// beginKey is where a server puts the time before the limit.
var beginKey = hauberk.NewKey[time.Time]("begin")

func serveFleet(
	t *testing.T, nodes int, addr string, config ratelimit.Config, opts ...func(node int) ratelimit.Option,
) *fleet {
	t.Helper()
	f := new(fleet)
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	inside := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		p := passed{at: time.Now()}
		p.begin, _ = beginKey.Get(call)
		if keys := call.Metadata(ctx, "tenant"); len(keys) > 0 {
			p.key = keys[0]
		}
		f.mu.Lock()
		f.admitted = append(f.admitted, p)
		f.mu.Unlock()
		return next(ctx, call)
	})
	outside := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		beginKey.Set(call, time.Now())
		return next(ctx, call)
	})
	for node := range nodes {
		own := make([]ratelimit.Option, 0, 2+len(opts))
		for _, opt := range opts {
			own = append(own, opt(node))
		}
		store := ratelimitredis.New(ratelimitredis.Config{Addresses: []string{addr}, Name: "attacks"})
		t.Cleanup(func() { _ = store.Close() })
		limit := ratelimit.New(config, append(own, ratelimit.WithStore(store), ratelimit.WithLogger(quiet))...)
		f.limits, f.stores = append(f.limits, limit), append(f.stores, store)
		f.nodes = append(f.nodes, serve(t, hauberk.Config{}, nil, outside, limit, inside))
	}
	return f
}

// call makes a unary call to a node.
func (f *fleet) call(ctx context.Context, node int, key string) error {
	ctx = metadata.AppendToOutgoingContext(ctx, "tenant", key)
	return f.nodes[node].conn.Invoke(ctx, hauberktest.FullMethod(hauberk.Unary), &testpb.Request{Text: "a"}, &testpb.Response{})
}

// flood makes calls to all nodes as fast as it can until stop returns true, and counts the outcomes.
func (f *fleet) flood(ctx context.Context, workers int, key func(i int) string, stop func() bool) map[codes.Code]int {
	counts := make([]map[codes.Code]int, len(f.nodes)*workers)
	var group sync.WaitGroup
	for w := range counts {
		counts[w] = make(map[codes.Code]int)
		group.Go(func() {
			for i := w; !stop(); i += len(counts) {
				counts[w][status.Code(f.call(ctx, w%len(f.nodes), key(i)))]++
			}
		})
	}
	group.Wait()
	all := make(map[codes.Code]int)
	for _, c := range counts {
		for code, n := range c {
			all[code] += n
		}
	}
	return all
}

// lasting returns a stop for flood.
func lasting(d time.Duration) func() bool {
	end := time.Now().Add(d)
	return func() bool { return time.Now().After(end) }
}

func oneKey(int) string { return "hot" }

// executed returns how many calls the handlers have executed since the last call.
func (f *fleet) executed() (n int) {
	for _, to := range f.nodes {
		n += len(to.ledger.take())
	}
	return n
}

// take returns the times of admitted calls since the last call, in order.
func (f *fleet) take() []passed {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.admitted
	f.admitted = nil
	slices.SortFunc(all, func(a, b passed) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
	return all
}

// excess returns by how many calls the fullest window exceeds rate·t + burst. A call was admitted at some time
// between those before and behind the limit, so a window counts the calls that were admitted in it for certain: a busy
// machine stops calls between the limit and the clock, and then many of them arrive there at once.
func excess(all []passed, rate float64, burst int) float64 {
	worst := 0.0
	for _, first := range all {
		n := 0
		for _, p := range all { // by the time behind the limit
			if p.begin.Before(first.begin) {
				continue
			}
			n++
			worst = max(worst, float64(n)-rate*p.at.Sub(first.begin).Seconds())
		}
	}
	return worst - float64(burst)
}

// canary makes calls to a fleet until stop is called, and counts the codes.
func (f *fleet) canary(t *testing.T, key func(i int) string) (stop func() map[codes.Code]int) {
	t.Helper()
	var ended atomic.Bool
	done := make(chan map[codes.Code]int, 1)
	go func() { done <- f.flood(context.Background(), 2, key, ended.Load) }()
	return func() map[codes.Code]int {
		ended.Store(true)
		return <-done
	}
}
