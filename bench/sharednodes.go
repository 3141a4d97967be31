package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/go-redis/redis_rate/v10"
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitredis"
)

// decider decides about one call with a key. It is for one goroutine.
type decider func(key string) (admitted bool, err error)

// sharedNode is one of several nodes that share a limit.
type sharedNode struct {
	decide func() decider // for another goroutine
	close  func()
}

// sharedVariant is a way to share a limit through Redis.
type sharedVariant struct {
	name    string
	command string // the command that it sends once in each round trip
	node    func(addr string, limit sharedLimit) (sharedNode, error)
}

func sharedVariants() []sharedVariant {
	return []sharedVariant{
		{"Hauberk", "evalsha", func(addr string, limit sharedLimit) (sharedNode, error) {
			return hauberkNode(addr, limit, false)
		}},
		{"Hauberk without leases", "evalsha", func(addr string, limit sharedLimit) (sharedNode, error) {
			return hauberkNode(addr, limit, true)
		}},
		{"redis_rate", "evalsha", redisRateNode},
		{"Envoy's algorithm", "incrby", envoyNode},
	}
}

// hauberkNode limits calls of a chain: its decisions include the interceptor.
func hauberkNode(addr string, limit sharedLimit, noLeases bool) (sharedNode, error) {
	store := ratelimitredis.New(ratelimitredis.Config{Name: "bench", Addresses: []string{addr}, NoLeases: noLeases})
	limits := ratelimit.New(ratelimit.Config{
		Limit: limit.rate, Per: time.Second, Burst: limit.burst(), By: callkey.State(caller),
		Shared: ratelimit.Shared{Fail: ratelimit.FailClosed, Timeout: 5 * time.Second},
	}, ratelimit.WithStore(store), ratelimit.WithLogger(slog.New(slog.DiscardHandler)))
	decide := func() decider {
		call := limitedBy(limits)
		return func(key string) (bool, error) { return admittedBy(call(key)) }
	}
	return sharedNode{decide, func() { _ = store.Close() }}, nil
}

// admittedBy returns the decision of a call, by its error.
func admittedBy(err error) (bool, error) {
	if status.Code(err) == codes.ResourceExhausted {
		return false, nil
	}
	return err == nil, err
}

// redisRateNode limits calls of grpc-go by github.com/go-redis/redis_rate.
func redisRateNode(addr string, limit sharedLimit) (sharedNode, error) {
	client := goredis.NewClient(&goredis.Options{Addr: addr, ReadTimeout: 5 * time.Second, PoolSize: sharedWorkers})
	limiter := redis_rate.NewLimiter(client)
	allowed := redis_rate.Limit{Rate: limit.rate, Burst: limit.burst(), Period: time.Second}
	return nodeOf(func(ctx context.Context, key string) (bool, error) {
		result, err := limiter.Allow(ctx, key, allowed)
		return err == nil && result.Allowed > 0, err
	}, client), nil
}

// envoyNode limits calls of grpc-go as envoyproxy/ratelimit does: it counts the calls of each second of
// the clock.
func envoyNode(addr string, limit sharedLimit) (sharedNode, error) {
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true})
	if err != nil {
		return sharedNode{}, err
	}
	return nodeOf(func(ctx context.Context, key string) (bool, error) {
		counter := "bench_caller_" + key + "_" + strconv.FormatInt(time.Now().Unix(), 10)
		answers := client.DoMulti(ctx,
			client.B().Incrby().Key(counter).Increment(1).Build(),
			client.B().Expire().Key(counter).Seconds(1).Build())
		n, err := answers[0].AsInt64()
		return n <= int64(limit.rate), errors.Join(err, answers[1].Error())
	}, closer(client.Close)), nil
}

// closer is a function as an io.Closer.
type closer func()

func (c closer) Close() error { c(); return nil }

// nodeOf serves calls through an interceptor of grpc-go that asks allow.
func nodeOf(allow func(ctx context.Context, key string) (bool, error), client io.Closer) sharedNode {
	decide := func() decider {
		key := ""
		limit := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			ok, err := allow(ctx, key)
			if err != nil {
				return nil, err
			}
			if !ok {
				return nil, errLimited
			}
			return next(ctx, req)
		}
		call := serverUnary(nil, limit)
		return func(of string) (bool, error) {
			key = of
			return admittedBy(call())
		}
	}
	return sharedNode{decide, func() { _ = client.Close() }}
}
