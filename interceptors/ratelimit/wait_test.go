package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/internal/quota"
)

// bank is a Store whose permits return. It counts the requests, each of which takes some time.
type bank struct {
	takes  time.Duration
	late   atomic.Int64 // requests that get no answer in time
	vague  bool         // rejections have no RetryAfter
	asked  atomic.Int64
	clock  func() time.Duration
	memory []*quota.Memory
}

func (b *bank) Open(limits []ratelimit.Limit) (ratelimit.Quotas, error) {
	b.clock = quota.Clock(nil)
	for _, l := range limits {
		m, err := quota.New(quota.Limit{
			Permits: l.Permits, Per: l.Per, Burst: l.Burst, Algorithm: quota.Algorithm(l.Algorithm), Debt: true,
		}, 100)
		if err != nil {
			return nil, err
		}
		b.memory = append(b.memory, m)
	}
	return b, nil
}

func (b *bank) Take(ctx context.Context, _ time.Duration, demands []ratelimit.Demand, decisions []ratelimit.Decision) error {
	b.asked.Add(1)
	select {
	case <-time.After(b.takes):
	case <-ctx.Done():
		return ctx.Err()
	}
	if b.late.Add(-1) >= 0 {
		return errors.New("late")
	}
	for i, d := range demands {
		decisions[i] = ratelimit.Decision(b.memory[d.Limit].Do(quota.Take, quota.OfKeys, d.Key, b.clock(), d.Permits))
		if b.vague {
			decisions[i].RetryAfter = 0
		}
	}
	return nil
}

func (b *bank) Charge(_ context.Context, _ time.Duration, demands []ratelimit.Demand) error {
	for _, d := range demands {
		b.memory[d.Limit].Do(quota.Charge, quota.OfKeys, d.Key, b.clock(), d.Permits)
	}
	return nil
}

// waiting returns the context of a call that lasts as long as the test, and a limiter whose quota of 100 is drained.
// 100 permits return in each second.
func waiting(t *testing.T, opts ...ratelimit.Option) (context.Context, *ratelimit.Interceptor) {
	t.Helper()
	return waitingIn(t, ratelimit.Shared{}, opts...)
}

// waitingIn is waiting with settings for the store.
func waitingIn(t *testing.T, shared ratelimit.Shared, opts ...ratelimit.Option) (context.Context, *ratelimit.Interceptor) {
	t.Helper()
	limiter := ratelimit.New(ratelimit.Config{
		Limit: 100, Per: time.Second, By: callkey.Global(), OverLimit: ratelimit.Wait, Cost: ratelimit.Cost{Charged: true},
		Shared: shared,
	}, opts...)
	call := make(chan context.Context)
	env := hauberktest.Case{}.StartWith(t, charging(func(ctx context.Context) error {
		call <- ctx
		<-ctx.Done()
		return ctx.Err()
	}), limiter)
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(ended)
		_ = env.Call(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	served := <-call
	if err := limiter.Take(served, 100); err != nil {
		t.Fatal(err)
	}
	return served, limiter
}

// However many messages wait for permits, they get each permit as it returns, and few requests are made for it.
func TestWaitAsksSeldom(t *testing.T) {
	for _, n := range []int{1, 10, 300, 2000} {
		synctest.Test(t, func(t *testing.T) {
			b := &bank{takes: time.Millisecond}
			ctx, limiter := waiting(t, ratelimit.WithStore(b))
			before, began := b.asked.Load(), time.Now()
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() {
					if err := limiter.Take(ctx, 1); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			// All ask once before anyone waits. Then each asks when it is the first in line, and when its permit has returned.
			if asked := b.asked.Load() - before; asked > int64(3*n+1) {
				t.Errorf("%d requests for %d permits", asked, n)
			}
			if took, least := time.Since(began), time.Duration(n)*10*time.Millisecond; took < least-5*time.Millisecond ||
				took > least+least/4+10*time.Millisecond {
				t.Errorf("%d permits took %v", n, took)
			}
			if failures, _ := limiter.StoreFailures(); failures > 0 {
				t.Errorf("%d failures of a store that answers", failures)
			}
		})
	}
}

// A pause of the store ends the messages that ask in it. The others wait on: the store has not failed.
func TestWaitOutlastsAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bank{takes: time.Millisecond}
		ctx, limiter := waitingIn(t, ratelimit.Shared{Fail: ratelimit.FailClosed}, ratelimit.WithStore(b), quiet)
		b.late.Store(16)
		var ended atomic.Int64
		var wg sync.WaitGroup
		for range 2000 {
			wg.Go(func() {
				if err := limiter.Take(ctx, 1); errors.Is(err, ratelimit.ErrUnavailable) {
					ended.Add(1)
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n, failing := limiter.StoreFailures(); n != 16 || failing || ended.Load() != 16 {
			t.Errorf("%d failures, failing %t, %d messages ended; want 16, and a store that is asked", n, failing, ended.Load())
		}
	})
}

// A store that rejects without RetryAfter, which a Decision must have, is asked again.
func TestWaitWithAVagueStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bank{takes: time.Millisecond, vague: true}
		ctx, limiter := waiting(t, ratelimit.WithStore(b))
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if err := limiter.Take(ctx, 1); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if asked := b.asked.Load(); asked > 200 {
			t.Errorf("%d requests for 10 permits", asked)
		}
	})
}

// If permits return faster than the store answers, several messages ask at a time, so that the wait ends.
func TestWaitWithASlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bank{takes: 25 * time.Millisecond} // 40 requests a second, one after the other
		ctx, limiter := waiting(t, ratelimit.WithStore(b))
		var wg sync.WaitGroup
		var last atomic.Int64
		for range 800 { // 80 messages a second
			wg.Go(func() {
				began := time.Now()
				if err := limiter.Take(ctx, 1); err != nil {
					t.Error(err)
				}
				last.Store(int64(time.Since(began)))
			})
			<-time.After(12500 * time.Microsecond)
		}
		wg.Wait()
		if last := time.Duration(last.Load()); last > 150*time.Millisecond {
			t.Errorf("after 10 s messages wait for %v", last)
		}
	})
}

// Messages get permits in the order in which they began to wait, so that an expensive one is not overtaken for ever.
func TestWaitInOrder(t *testing.T) {
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprint("store ", shared), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var opts []ratelimit.Option
				if shared {
					opts = append(opts, ratelimit.WithStore(&bank{}))
				}
				ctx, limiter := waiting(t, opts...)
				crowd, cancel := context.WithCancel(ctx)
				var wg sync.WaitGroup
				for range 8 {
					wg.Go(func() {
						for limiter.Take(crowd, 1) == nil { //nolint:revive // until it ends
						}
					})
				}
				synctest.Wait()
				began := time.Now()
				if err := limiter.Take(ctx, 50); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took > 600*time.Millisecond {
					t.Errorf("50 permits took %v among messages of one permit; want 8 of those and 500 ms", took)
				}
				cancel()
				wg.Wait()
			})
		})
	}
}

// A message that cannot wait is rejected at once, wherever it is in the order. One whose context ends leaves its place to the next.
func TestWaitIsGivenUp(t *testing.T) {
	for _, opts := range [][]ratelimit.Option{nil, {ratelimit.WithStore(&bank{takes: 3 * time.Millisecond})}} {
		synctest.Test(t, func(t *testing.T) {
			ctx, limiter := waiting(t, opts...)
			var contexts [5]context.Context
			var cancels [5]context.CancelFunc
			var results [5]chan error
			for i := range contexts {
				contexts[i], cancels[i] = context.WithCancel(ctx)
				results[i] = make(chan error, 1)
				go func() { results[i] <- limiter.Take(contexts[i], 10) }()
				<-time.After(5 * time.Millisecond) // it has asked, or waits for others
			}
			began := time.Now()
			if opts == nil { // 50 permits are before this one; a store may return them all at once
				short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
				defer cancel()
				err := limiter.Take(short, 1)
				wantCode(t, err, codes.ResourceExhausted)
				if wait := retryAfter(err); time.Since(began) > 0 || wait < 400*time.Millisecond || wait > 510*time.Millisecond {
					t.Errorf("rejected after %v, retry after %v; want nearly 500ms", time.Since(began), wait)
				}
			}
			for _, i := range []int{2, 0} { // one in the middle, and the head while it sleeps or asks
				cancels[i]()
				wantCode(t, <-results[i], codes.Canceled)
			}
			<-time.After(99 * time.Millisecond)
			cancels[1]()                                                                                 // the head while it asks, or once it has the permits
			if err := <-results[1]; status.Code(err) != codes.OK && status.Code(err) != codes.Canceled { // either
				t.Error(err)
			}
			for _, i := range []int{3, 4} {
				wantCode(t, <-results[i], codes.OK)
			}
			if took := time.Since(began); took > 350*time.Millisecond {
				t.Errorf("the others took %v", took)
			}
			for _, cancel := range cancels {
				cancel()
			}
		})
	}
}

// With several limits, a message waits for the permits of all.
func TestWaitForSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := ratelimit.New(ratelimit.Config{
			Limit: 10, Per: time.Second, By: callkey.Metadata("user"), OverLimit: ratelimit.Wait, Cost: ratelimit.Cost{Message: 1},
			Also: []ratelimit.Config{{Limit: 20, Per: 2 * time.Second, By: callkey.Global(), Cost: ratelimit.Cost{Message: 1}}},
		})
		env := hauberktest.Case{Kind: hauberk.ClientStream}.Start(t, limiter)
		began := time.Now()
		var wg sync.WaitGroup
		for _, user := range []string{"a", "b", "c"} {
			for range 2 {
				wg.Go(func() {
					wantCode(t, env.Call(metadata.AppendToOutgoingContext(t.Context(), "user", user), make([]string, 10)...).Err, codes.OK)
				})
			}
		}
		wg.Wait()
		if took := time.Since(began); took < 4*time.Second-10*time.Millisecond || took > 4200*time.Millisecond {
			t.Errorf("60 messages at 10 a second and 20 at once took %v, want 4 s", took)
		}
	})
}

// A message that waits on a client does not delay the end of its stream.
func TestWaitEndsWithTheStream(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
					_, _ = s.Recv()
					<-time.After(time.Second)
					return status.Error(codes.FailedPrecondition, "over")
				}}
				limiter := ratelimit.New(ratelimit.Config{
					Limit: 1, Per: time.Hour, By: callkey.Global(), OverLimit: ratelimit.Wait, Cost: ratelimit.Cost{Message: 1},
				})
				env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, backend, limiter)
				began := time.Now()
				desc := testpb.TestService_ServiceDesc.Streams[0]
				desc.ClientStreams, desc.ServerStreams = true, kind == hauberk.Bidi
				stream, err := env.Conn.NewStream(t.Context(), &desc, hauberktest.FullMethod(kind))
				if err != nil {
					t.Fatal(err)
				}
				sent := make(chan error, 1)
				go func() {
					for {
						if err := stream.SendMsg(&testpb.Request{}); err != nil {
							sent <- err
							return
						}
					}
				}()
				wantCode(t, stream.RecvMsg(new(testpb.Response)), codes.FailedPrecondition)
				if err := <-sent; err != io.EOF {
					t.Errorf("SendMsg returned %v", err)
				}
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("the end took %v", took)
				}
			})
		})
	}
}
