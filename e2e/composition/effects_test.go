package composition_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/cache"
	"github.com/hauberk-rpc/hauberk/interceptors/coalesce"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
	"github.com/hauberk-rpc/hauberk/interceptors/fault"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// effects counts the executions of each effect.
type effects struct {
	random *rand.Rand

	mu    sync.Mutex
	times map[string]int
}

// draw returns a number from 0 up to n.
func (e *effects) draw(n int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.random.IntN(n)
}

// handle executes an effect, after it has perhaps failed before that, and takes up to two seconds before and after it.
func (e *effects) handle(ctx context.Context, s hauberktest.Stream) error {
	req, err := s.Recv()
	if err != nil {
		return err
	}
	<-time.After(time.Duration(e.draw(1000)) * ms)
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	if e.draw(5) == 0 {
		return status.Error(codes.Unavailable, "not now")
	}
	e.mu.Lock()
	e.times[req.GetText()]++
	n := e.times[req.GetText()]
	e.mu.Unlock()
	<-time.After(time.Duration(e.draw(1000)) * ms)
	return s.Send(&testpb.Response{Text: fmt.Sprint(req.GetText(), " ", n)})
}

// faults returns faults of unary calls, before or after the handler.
func (e *effects) faults() *fault.Interceptor {
	return fault.New(fault.Config{Seed: e.random.Uint64() | 1, Rules: []fault.Rule{
		{Percentage: 10, Abort: &fault.Abort{Code: codes.Unavailable}},
		{Percentage: 5, Abort: &fault.Abort{Code: codes.Unavailable, AfterMessages: 1}},
		{Percentage: 20, Messages: &fault.Messages{Drop: 20, Delay: 50, DelayFor: 700 * ms}},
		{Percentage: 20, MaxDelay: time.Second},
	}})
}

// repeats returns a retry or a hedge.
func (e *effects) repeats() hauberk.Interceptor {
	if e.random.IntN(2) == 0 {
		return hedge.New(hedge.Config{AllMethods: true, MaxAttempts: 5, Delay: 300 * ms, NoBudget: true})
	}
	config := retry.Config{AllMethods: true, MaxAttempts: 20, NoBudget: true, RetryAfterHeader: true}
	if e.random.IntN(2) == 0 {
		config.PerAttemptTimeout = 900 * ms
	}
	return retry.New(config)
}

// TestEffectsOnce: of calls that are repeated, shared, cancelled and disturbed by faults on both sides and around the
// idempotency keys, each effect is executed at most once, and each call that ends with OK has its own result.
func TestEffectsOnce(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &effects{random: testseed.Rand(t, seed), times: make(map[string]int)}
				all := []string{"*"}
				client := hauberk.Must(hauberk.New(
					deadline.New(deadline.Config{Max: 20 * time.Second}), idempotency.New(idempotency.Config{}),
					cache.New(cache.Config{TTL: time.Hour, Methods: all, StaleWhileRevalidate: time.Hour}),
					coalesce.New(coalesce.Config{Methods: all}), e.repeats(),
					breaker.New(breaker.Config{FailureRatio: 1, MinCalls: 50, OpenFor: time.Second}), e.faults(),
				))
				keys := idempotency.New(idempotency.Config{Lease: time.Duration(1+e.random.IntN(3)) * time.Second})
				server := hauberk.Must(hauberk.New(deadline.New(deadline.Config{Max: 10 * time.Second}), e.faults(), keys, e.faults()))
				env := hauberktest.Start(t, hauberktest.Setup{
					Client: client, Server: server, Backend: &hauberktest.Backend{Handle: e.handle},
				})
				ended := e.calls(t, env)
				<-time.After(time.Minute) // executions go on after their callers have left
				synctest.Wait()
				for text, times := range e.times {
					if times != 1 {
						t.Errorf("%s was executed %d times", text, times)
					}
				}
				if ended[codes.OK] < 100 {
					t.Errorf("%v; want many calls to succeed", ended)
				}
				t.Log(ended)
			})
		})
	}
}

// calls makes calls, each third effect for two callers with one key, and returns how they have ended.
func (e *effects) calls(t *testing.T, env *hauberktest.Env) map[codes.Code]int {
	t.Helper()
	ended := make(map[codes.Code]int)
	var running sync.WaitGroup
	for i := range 300 {
		text := fmt.Sprint("effect ", i-i%3/2)
		leaves := time.Duration(e.draw(40)) * time.Second
		running.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			time.AfterFunc(leaves, cancel)
			out := env.Call(metadata.AppendToOutgoingContext(ctx, idempotency.Header, text), text)
			e.mu.Lock()
			defer e.mu.Unlock()
			ended[status.Code(out.Err)]++
			if out.Err == nil && out.Responses[0].GetText() != text+" 1" {
				t.Errorf("the result of %s is %v", text, out.Responses[0])
			}
		})
		<-time.After(time.Duration(e.draw(400)) * ms)
	}
	running.Wait()
	return ended
}
