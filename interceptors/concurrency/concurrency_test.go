package concurrency_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
)

func TestLimit(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		backend, x := newBlocking(), concurrency.New(concurrency.Config{Limit: 2, By: callkey.Method()})
		env := c.StartWith(t, &backend.Backend, x)
		first, second := backend.begin(t.Context(), t, env), backend.begin(t.Context(), t, env)
		err := env.Call(t.Context()).Err
		wantRejected(t, err, codes.ResourceExhausted, concurrency.ReasonFull)
		if got := retryAfter(err); got != concurrency.DefaultRetryAfter {
			t.Errorf("retry after %v", got)
		}
		if got := quotaOf(err); got != "method" {
			t.Errorf("quota of %q", got)
		}
		if s := x.Snapshot(); s.Running != 2 || s.Full != 1 || s.Keys != 1 || s.Admitted != 2 {
			t.Errorf("%+v", s)
		}
		close(backend.release)
		wantCode(t, <-first, codes.OK)
		wantCode(t, <-second, codes.OK)
		wantIdle(t, x)
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
	})
}

// Rejections ask for RetryAfter.
func TestRetryAfter(t *testing.T) {
	x := concurrency.New(concurrency.Config{Limit: 1, RetryAfter: 7 * time.Second})
	call := serve(t, hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
		return serve(t, nil, x)(t.Context())
	}), x)
	if got := retryAfter(call(t.Context())); got != 7*time.Second {
		t.Errorf("retry after %v; want 7s", got)
	}
}

// A tenant without calls keeps its share for Hold.
func TestHold(t *testing.T) {
	for hold, want := range map[time.Duration]codes.Code{time.Hour: codes.ResourceExhausted, time.Minute: codes.OK} {
		clock := hauberktest.NewClock()
		x := concurrency.New(concurrency.Config{Limit: 4, Tenant: callkey.Metadata("tenant"), Hold: hold},
			concurrency.WithClock(clock.Now))
		if err := serve(t, nil, x)(with(t.Context(), "tenant", "a")); err != nil {
			t.Fatal(err)
		}
		clock.Advance(30 * time.Minute)
		call := serve(t, nil, x)
		for range 3 {
			inner := call
			during := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				if err := inner(ctx); err != nil {
					return err
				}
				return next(ctx, call)
			})
			call = serve(t, nil, x, during)
		}
		wantCode(t, call(with(t.Context(), "tenant", "b")), want)
	}
}

// One call runs, one waits, one is rejected. The one that waits gets the slot, or leaves.
func TestQueue(t *testing.T) {
	for _, cancelled := range []bool{false, true} {
		hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
			backend := newBlocking()
			x := concurrency.New(concurrency.Config{Limit: 1, MaxWaiting: 1, MaxWait: time.Hour})
			env := c.StartWith(t, &backend.Backend, x)
			first := backend.begin(t.Context(), t, env)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			second := make(chan error, 1)
			go func() { second <- env.Call(ctx).Err }()
			until(t, "a call waits", func() bool { return x.Snapshot().Waiting == 1 })
			wantRejected(t, env.Call(t.Context()).Err, codes.ResourceExhausted, concurrency.ReasonFull)
			want := codes.OK
			if cancelled {
				cancel()
				want = codes.Canceled
				wantCode(t, <-second, want)
				until(t, "no call waits", func() bool { return x.Snapshot().Waiting == 0 })
			}
			close(backend.release)
			wantCode(t, <-first, codes.OK)
			if !cancelled {
				wantCode(t, <-second, want)
			}
			wantIdle(t, x)
		})
	}
}

// The two rejections of a bulkhead have different reasons, and sentinels in the process.
func TestReasons(t *testing.T) {
	for _, c := range []struct {
		name   string
		config concurrency.Config
		code   codes.Code
		reason string
		err    error
		after  time.Duration // when it is rejected
	}{
		{"full", concurrency.Config{Limit: 1}, codes.ResourceExhausted, concurrency.ReasonFull, concurrency.ErrFull, 0},
		{
			"waited",
			concurrency.Config{Limit: 1, MaxWaiting: 5, MaxWait: time.Second},
			codes.ResourceExhausted, concurrency.ReasonWaited, concurrency.ErrWaited, time.Second,
		},
		{
			"adaptive",
			concurrency.Config{Adaptive: &concurrency.Adaptive{Min: 1, Initial: 1, Max: 1}},
			codes.Unavailable, concurrency.ReasonFull, concurrency.ErrFull, 0,
		},
		{
			"adaptive, waited", concurrency.Config{
				Adaptive: &concurrency.Adaptive{Min: 1, Initial: 1, Max: 1}, MaxWaiting: 5,
			}, codes.Unavailable, concurrency.ReasonWaited, concurrency.ErrWaited, time.Second,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var seen error
				var decisions []hauberk.Decision
				observe := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					err := next(ctx, call)
					if err != nil {
						seen, decisions = err, call.Decisions().Recorded()
					}
					return err
				})
				call := serve(t, lasting(time.Minute), observe, concurrency.New(c.config))
				first := make(chan error)
				go func() { first <- call(t.Context()) }()
				synctest.Wait()
				start := time.Now()
				err := call(t.Context())
				wantRejected(t, err, c.code, c.reason)
				if !errors.Is(seen, c.err) || time.Since(start) != c.after {
					t.Errorf("%v after %v, want %v after %v", seen, time.Since(start), c.err, c.after)
				}
				if len(decisions) != 1 || decisions[0].Reason != c.reason || decisions[0].Interceptor != "concurrency" {
					t.Errorf("decisions %+v", decisions)
				}
				if got := retryAfter(err); got <= 0 {
					t.Errorf("retry after %v", got)
				}
				wantCode(t, <-first, codes.OK)
			})
		})
	}
}

// A call that cannot finish before its deadline does not wait, and says so.
func TestNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := concurrency.New(concurrency.Config{Limit: 1, MaxWaiting: 5, MaxWait: time.Minute})
		call := serve(t, lasting(time.Second), x)
		for range 20 {
			wantCode(t, call(t.Context()), codes.OK)
		}
		first := make(chan error)
		go func() { first <- call(t.Context()) }()
		synctest.Wait()
		within := func(d time.Duration) (took time.Duration, err error) {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			start := time.Now()
			err = call(ctx)
			return time.Since(start), err
		}
		took, err := within(900 * time.Millisecond)
		wantRejected(t, err, codes.DeadlineExceeded, concurrency.ReasonNoTime)
		if took != 0 || retryAfter(err) != -1 {
			t.Errorf("rejected after %v, retry after %v", took, retryAfter(err))
		}
		took, err = within(1500 * time.Millisecond)
		wantRejected(t, err, codes.DeadlineExceeded, concurrency.ReasonNoTime)
		if took != 500*time.Millisecond {
			t.Errorf("rejected after %v, want 500 ms", took)
		}
		if s := x.Snapshot(); s.NoTime != 2 {
			t.Errorf("%+v", s)
		}
		_, err = within(3 * time.Second)
		wantCode(t, err, codes.OK)
		wantCode(t, <-first, codes.OK)
	})
}

// A call whose deadline passes while it waits ends with that, and is not a rejection.
func TestContextEndsWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := concurrency.New(concurrency.Config{Limit: 1, MaxWaiting: 5, MaxWait: time.Hour})
		call := serve(t, lasting(time.Minute), x)
		first := make(chan error)
		go func() { first <- call(t.Context()) }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		err := call(ctx)
		wantRejected(t, err, codes.Canceled, "")
		if s := x.Snapshot(); s.Cancelled != 1 || s.Waiting != 0 || s.Running != 1 {
			t.Errorf("%+v", s)
		}
		wantCode(t, <-first, codes.OK)
	})
}

// Calls with a higher priority get a slot first.
func TestPriorities(t *testing.T) {
	byMetadata := concurrency.WithPriority(func(ctx context.Context, call *hauberk.Call) int {
		return len(call.Metadata(ctx, "priority"))
	})
	synctest.Test(t, func(t *testing.T) {
		var order []int
		note := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			order = append(order, len(call.Metadata(ctx, "priority")))
			return lasting(time.Second).Intercept(ctx, call, next)
		})
		call := serve(t, note, concurrency.New(concurrency.Config{Limit: 1, MaxWaiting: 9, MaxWait: time.Hour}, byMetadata))
		for _, pairs := range [][]string{{}, {}, {"priority", ""}, {"priority", "", "priority", ""}} {
			go func() { _ = call(with(t.Context(), pairs...)) }()
			synctest.Wait()
		}
		<-time.After(time.Minute)
		if len(order) != 4 || order[0] != 0 || order[1] != 2 || order[2] != 1 || order[3] != 0 {
			t.Errorf("the order is %v, want 0 2 1 0", order)
		}
	})
}

// Patterns of methods are priorities, too.
func TestCriticalMethods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := concurrency.Config{
			Limit: 1, MaxWaiting: 1, MaxWait: time.Hour, Critical: []string{"hauberk.test.v1.TestService/Unary"},
			Sheddable: []string{"hauberk.test.*"},
		}
		x := concurrency.New(config)
		chain := chainOf(t, x, lasting(time.Second))
		unary := hauberktest.Direct{}.Server(chain)
		stream := hauberktest.Direct{Kind: hauberk.ServerStream}.Server(chain)
		outcomes := make(chan error, 3)
		go func() { outcomes <- stream(t.Context()) }()
		synctest.Wait()
		displaced := make(chan error, 1)
		go func() { displaced <- stream(t.Context()) }()
		synctest.Wait()
		go func() { outcomes <- unary(t.Context()) }()
		wantRejected(t, <-displaced, codes.Unavailable, concurrency.ReasonDisplaced)
		wantCode(t, <-outcomes, codes.OK)
		wantCode(t, <-outcomes, codes.OK)
	})
}

// A call is rejected on its header alone.
func TestRejectedBeforeTheRequest(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			backend, x := newBlocking(), concurrency.New(concurrency.Config{Limit: 1})
			env := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}.StartWith(t, &backend.Backend, x)
			first := backend.begin(t.Context(), t, env)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			stream, err := env.Client.NewStream(ctx,
				&grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, hauberktest.FullMethod(kind))
			if err != nil {
				t.Fatal(err)
			}
			wantCode(t, stream.RecvMsg(new(testpb.Response)), codes.ResourceExhausted)
			close(backend.release)
			wantCode(t, <-first, codes.OK)
		})
	}
}

// In shadow calls are counted, none waits, and all pass.
func TestShadow(t *testing.T) {
	for _, streams := range []concurrency.Streams{concurrency.ForLife, concurrency.ForMessages} {
		hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
			backend := newBlocking()
			x := concurrency.New(concurrency.Config{Limit: 1, MaxWaiting: 5, MaxWait: time.Hour, Streams: streams})
			shadow := hauberk.Shadow(x)
			env := c.StartWith(t, &backend.Backend, shadow)
			first := backend.begin(t.Context(), t, env)
			second := backend.begin(t.Context(), t, env)
			close(backend.release)
			wantCode(t, <-first, codes.OK)
			wantCode(t, <-second, codes.OK)
			wantIdle(t, x)
			if s := x.Snapshot(); streams == concurrency.ForLife && (shadow.Rejections() != 1 || s.Full != 1) {
				t.Errorf("%d rejections, %+v", shadow.Rejections(), s)
			}
		})
	}
}

const nowhere = "/hauberk.nowhere.v1.Nothing/Do"

// Calls of unknown methods end as they do without a limit, unless they are limited.
func TestUnknownMethods(t *testing.T) {
	for _, c := range []struct {
		name   string
		config concurrency.Config
		want   codes.Code
	}{
		{"global", concurrency.Config{Limit: 1}, codes.Unimplemented},
		{"limited", concurrency.Config{Limit: 1, LimitUnknown: true}, codes.ResourceExhausted},
		{"peer", concurrency.Config{Limit: 1, By: callkey.Peer()}, codes.ResourceExhausted},
	} {
		t.Run(c.name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			backend := newBlocking()
			env := hauberktest.Case{Side: hauberk.ServerSide}.StartWith(t, &backend.Backend, concurrency.New(c.config))
			first := backend.begin(t.Context(), t, env)
			wantCode(t, env.Do(t.Context(), nowhere, []*testpb.Request{{}}).Err, c.want)
			close(backend.release)
			wantCode(t, <-first, codes.OK)
		})
	}
}

// Limits by identity do not limit public methods; others do.
func TestPublicMethods(t *testing.T) {
	for _, c := range []struct {
		key  callkey.Key
		want codes.Code
	}{{callkey.State(userKey), codes.OK}, {callkey.Method(), codes.ResourceExhausted}} {
		hauberktest.CheckLeaks(t)
		backend := newBlocking()
		env := hauberktest.Case{}.With(hauberk.Config{Public: []string{"hauberk.test.*"}}).
			StartWith(t, &backend.Backend, login{}, concurrency.New(concurrency.Config{Limit: 1, By: c.key}))
		first := backend.begin(t.Context(), t, env)
		if c.want == codes.OK {
			second := backend.begin(t.Context(), t, env)
			close(backend.release)
			wantCode(t, <-second, codes.OK)
		} else {
			wantCode(t, env.Call(t.Context()).Err, c.want)
			close(backend.release)
		}
		wantCode(t, <-first, codes.OK)
	}
}
