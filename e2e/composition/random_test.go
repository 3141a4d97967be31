package composition_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
	"github.com/hauberk-rpc/hauberk/interceptors/fault"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
	"github.com/hauberk-rpc/hauberk/retrybudget"
)

// TestMain drops the warnings of chains with faults.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// randomly is a client with a random chain against faults, and what must be true of it when all calls have ended.
type randomly struct {
	random  *rand.Rand
	budget  *retrybudget.Budget
	breaker *breaker.Interceptor
	limit   *concurrency.Interceptor
	faults  []*fault.Interceptor

	mu       sync.Mutex
	attempts int
}

// fault returns faults of all kinds.
func (r *randomly) fault() *fault.Interceptor {
	x := fault.New(fault.Config{Seed: r.random.Uint64() | 1, Rules: []fault.Rule{
		{Percentage: 20, Abort: &fault.Abort{Code: codes.Unavailable, AfterMessages: r.random.IntN(3)}},
		{Percentage: 20, MaxDelay: 2 * time.Second},
		{Percentage: 20, Messages: &fault.Messages{Drop: 10, Duplicate: 10, Delay: 50, DelayFor: 300 * ms}},
		{Percentage: 10, Abort: &fault.Abort{Code: codes.Internal}},
	}})
	r.faults = append(r.faults, x)
	return x
}

// chain returns a chain of a client.
func (r *randomly) chain(t *testing.T) *hauberk.Chain {
	t.Helper()
	r.budget = retrybudget.New(retrybudget.Config{Reserve: 1 + r.random.IntN(20)})
	r.breaker = breaker.New(breaker.Config{
		FailureRatio: 0.6, MinCalls: 5, WindowTime: 2 * time.Second, OpenFor: time.Second, HalfOpenMaxCalls: 2, SuccessThreshold: 2,
		SlowRatio: 0.9, SlowAfter: 3 * time.Second, CountAtFirstResponse: r.random.IntN(2) == 0,
	})
	r.limit = concurrency.New(concurrency.Config{Limit: 20, By: callkey.Global()})
	repeats := hauberk.Interceptor(hedge.New(hedge.Config{AllMethods: true, MaxAttempts: 3, Delay: 200 * ms}, hedge.WithBudget(r.budget)))
	if r.random.IntN(2) == 0 {
		config := retry.Config{AllMethods: true, MaxReplayBytes: 1 << 10}
		if r.random.IntN(2) == 0 {
			config.PerAttemptTimeout = time.Second
		}
		repeats = retry.New(config, retry.WithBudget(r.budget))
	}
	limits := deadline.New(deadline.Config{Max: 5 * time.Second, IdleTimeout: 2 * time.Second})
	counts := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		r.mu.Lock()
		r.attempts++
		r.mu.Unlock()
		return next(ctx, call)
	})
	return hauberk.Must(hauberk.New(limits, repeats, counts, r.breaker, r.limit, r.fault()))
}

// TestNothingIsLeft: after calls of all kinds with faults on both sides, some of which their callers cancel or leave, no
// permit, slot or fault is in use, and no more attempts were made than the budget allows.
func TestNothingIsLeft(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const calls = 120
				r := &randomly{random: testseed.Rand(t, seed)}
				client := r.chain(t)
				server := hauberk.Must(hauberk.New(deadline.New(deadline.Config{Max: 4 * time.Second, EndEarly: true}), r.fault()))
				env := hauberktest.Start(t, hauberktest.Setup{Client: client, Server: server, Backend: handling(
					func(ctx context.Context, s hauberktest.Stream) error {
						if err := hauberktest.Echo(ctx, s); err != nil {
							return err
						}
						return ctx.Err()
					},
				)})
				var all sync.WaitGroup
				for range calls {
					kind, choice := kinds[r.random.IntN(len(kinds))], r.random.IntN(6)
					after := time.Duration(r.random.IntN(1500)) * ms
					all.Go(func() { r.call(t, env, kind, choice, after) })
					<-time.After(50 * ms)
				}
				all.Wait()
				synctest.Wait()
				r.check(t, calls)
			})
		})
	}
}

// call makes a call. One of choice 0 is cancelled after a time; those of 1 and 2 are left before they end.
func (r *randomly) call(t *testing.T, env *hauberktest.Env, kind hauberk.Kind, choice int, after time.Duration) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if choice == 0 {
		time.AfterFunc(after, cancel)
	}
	began := time.Now()
	if kind == hauberk.Unary {
		_ = env.Conn.Invoke(ctx, hauberktest.FullMethod(kind), &testpb.Request{Text: "a"}, new(testpb.Response))
	} else {
		desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
		stream, err := env.Conn.NewStream(ctx, desc, hauberktest.FullMethod(kind))
		if err != nil {
			return
		}
		for range 1 + 2*map[bool]int{true: 1}[kind.ClientStreams()] {
			if stream.SendMsg(&testpb.Request{Text: "a"}) != nil {
				break
			}
		}
		if choice == 1 {
			<-time.After(after)
			return // without receiving
		}
		_ = stream.CloseSend()
		for stream.RecvMsg(new(testpb.Response)) == nil {
			if choice == 2 || !kind.ServerStreams() {
				break
			}
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a call took %v", took)
	}
}

// check checks what is left.
func (r *randomly) check(t *testing.T, calls int) {
	t.Helper()
	for _, c := range r.breaker.Circuits() {
		if c.Probes != 0 {
			t.Errorf("probes are left: %+v", c)
		}
	}
	if got := value(t, r.limit.Measurements(), "concurrency_running"); got != 0 {
		t.Errorf("%v permits are in use", got)
	}
	for _, x := range r.faults {
		if got := value(t, x.Measurements(), "fault_active"); got != 0 {
			t.Errorf("%v faults are active", got)
		}
	}
	if most := calls + 20 + calls/5; r.attempts > most || r.attempts < calls {
		t.Errorf("%d attempts of %d calls, want at most %d", r.attempts, calls, most)
	}
}

// value returns a measurement without labels.
func value(t *testing.T, all []hauberk.Measurement, name string) float64 {
	t.Helper()
	for _, m := range all {
		if m.Name == name {
			return m.Value
		}
	}
	t.Errorf("there is no %s", name)
	return 0
}
