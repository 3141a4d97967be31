package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/ratelimiter"
	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// manyKeys is the greater number of keys of limiterContests.
const manyKeys = 100_000

// limiterContests compare limits that are not reached, with one key and with many, which calls have
// in random order.
func limiterContests() []contest {
	return []contest{limiterContest(1), limiterContest(manyKeys)}
}

func limiterContest(n int) contest {
	const own = "Hauberk, limit by caller"
	const rates, failsafe = "grpc-go, x/time/rate by caller", "grpc-go, failsafe-go's rate limiter by caller"
	name := "limiter with 1 key, unary call on a server"
	if n > 1 {
		name = fmt.Sprintf("limiter with %d keys, unary call on a server", n)
	}
	return contest{
		name: name,
		variants: []variant{
			{oneIdle, func() func() error { return limitedKeys(n) }},
			{own, func() func() error { return limitedByState(n) }},
			{grpcIdle, func() func() error { return limitedCallers(n, func(string) bool { return true }) }},
			{rates, func() func() error { return limitedCallers(n, newRates().allow) }},
			{failsafe, func() func() error { return limitedCallers(n, newFailsafeRates().allow) }},
		},
		budgets: map[string]budget{own: small},
		bases:   map[string]string{grpcIdle: grpcIdle, rates: grpcIdle, failsafe: grpcIdle},
	}
}

// callersInOrder returns n keys in random order.
func callersInOrder(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = "caller-" + strconv.Itoa(i)
	}
	shuffle(keys)
	return keys
}

// caller is the key of the callers of contests with limits by state.
var caller = hauberk.NewKey[string]("caller")

// limitedBy serves calls of a caller through an interceptor. The function is for one goroutine.
func limitedBy(limit ...hauberk.Interceptor) func(key string) error {
	current := ""
	set := hauberk.Declare(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		caller.Set(call, current)
		return next(ctx, call)
	}), hauberk.Declaration{Name: "caller", Writes: []hauberk.StateKey{caller}})
	call := serverUnary(chainOf(append([]hauberk.Interceptor{set}, limit...)...), nil)
	return func(key string) error {
		current = key
		return call()
	}
}

// limitedKeys serves calls with n keys in random order, through interceptors.
func limitedKeys(n int, limit ...hauberk.Interceptor) func() error {
	keys, call := callersInOrder(n), limitedBy(limit...)
	return inTurn(n, func(i int) error { return call(keys[i]) })
}

// limitedByState serves calls with n keys in random order through a limiter.
func limitedByState(n int) func() error {
	return limitedKeys(n, ratelimit.New(ratelimit.Config{
		Limit: plenty, Per: time.Second, By: callkey.State(caller), MaxKeys: 1 << 20,
	}))
}

// limitedCallers serves calls with n keys in random order, through an interceptor of grpc-go that asks
// allow.
func limitedCallers(n int, allow func(key string) bool) func() error {
	keys, current := callersInOrder(n), ""
	limit := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if !allow(current) {
			return nil, errLimited
		}
		return handler(ctx, req)
	}
	call := serverUnary(nil, limit)
	return inTurn(n, func(i int) error {
		current = keys[i]
		return call()
	})
}

// failsafeRates has a limiter of failsafe-go for each key, and removes none.
type failsafeRates struct {
	mu    sync.Mutex
	byKey map[string]ratelimiter.RateLimiter[any]
}

func newFailsafeRates() *failsafeRates {
	return &failsafeRates{byKey: make(map[string]ratelimiter.RateLimiter[any])}
}

func (r *failsafeRates) allow(key string) bool {
	r.mu.Lock()
	limiter, ok := r.byKey[key]
	if !ok {
		limiter = ratelimiter.NewBursty[any](plenty, time.Second)
		r.byKey[key] = limiter
	}
	r.mu.Unlock()
	return limiter.TryAcquirePermit()
}
