package ratelimitredis_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitredis"
)

func TestMain(m *testing.M) {
	// A client that could not connect looks for the cluster once more after a second, and ends.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"),
		// It closes the connections to nodes that a cluster has lost after five seconds.
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"))
}

// patient is the timeout of tests that do not test timeouts.
const patient = 20 * time.Second

// open returns quotas in a server. The Config needs no Name.
func open(t testing.TB, config ratelimitredis.Config, limits ...ratelimit.Limit) (ratelimit.Quotas, *ratelimitredis.Store) {
	t.Helper()
	if config.Name == "" {
		config.Name = "test"
	}
	store := ratelimitredis.New(config)
	t.Cleanup(func() { _ = store.Close() })
	quotas, err := store.Open(limits)
	if err != nil {
		t.Fatal(err)
	}
	return quotas, store
}

func at(addrs ...string) ratelimitredis.Config { return ratelimitredis.Config{Addresses: addrs} }

// limitOf returns a limit with a burst of as many permits.
func limitOf(a ratelimit.Algorithm, permits int, per time.Duration) ratelimit.Limit {
	return ratelimit.Limit{Name: "user", Permits: permits, Per: per, Burst: permits, Algorithm: a}
}

var algorithms = []ratelimit.Algorithm{ratelimit.GCRA, ratelimit.SlidingWindow, ratelimit.FixedWindow}

func demand(key string, permits int) ratelimit.Demand {
	return ratelimit.Demand{Key: []byte(key), Permits: permits}
}

// take takes permits and returns the decision on the first demand.
func take(t testing.TB, q ratelimit.Quotas, demands ...ratelimit.Demand) ratelimit.Decision {
	t.Helper()
	return takeAll(t, q, demands...)[0]
}

func takeAll(t testing.TB, q ratelimit.Quotas, demands ...ratelimit.Demand) []ratelimit.Decision {
	t.Helper()
	decisions := make([]ratelimit.Decision, len(demands))
	if err := q.Take(context.Background(), patient, demands, decisions); err != nil {
		t.Fatal(err)
	}
	return decisions
}
