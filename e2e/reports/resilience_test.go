package reports_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/cache"
	"github.com/hauberk-rpc/hauberk/interceptors/coalesce"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

var errDown = status.Error(codes.Unavailable, "down")

// unary makes a unary call with a text and returns that of the response.
func (s *server) unary(ctx context.Context, text string, options ...grpc.CallOption) (string, error) {
	resp := new(testpb.Response)
	err := s.conn.Invoke(ctx, hauberktest.FullMethod(hauberk.Unary), &testpb.Request{Text: text}, resp, options...)
	return resp.GetText(), err
}

// numbered is a handler that answers each call with its number, after wait has returned.
func numbered(calls *atomic.Int64, wait func(n int64)) func(context.Context, hauberktest.Stream) error {
	return func(ctx context.Context, s hauberktest.Stream) error {
		if _, err := s.Recv(); err != nil {
			return err
		}
		n := calls.Add(1)
		wait(n)
		if ctx.Err() != nil {
			return status.FromContextError(ctx.Err()).Err()
		}
		return s.Send(&testpb.Response{Text: fmt.Sprint(n)})
	}
}

func atOnce(int64) {}

// after is a clock that is moved.
type after struct{ moved atomic.Int64 }

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (a *after) now() time.Time { return epoch.Add(time.Duration(a.moved.Load())) }

func (a *after) move(d time.Duration) { a.moved.Add(int64(d)) }

// TestReportBreakerProbes: a circuit that was open closes by a probe whose call has another context than those before,
// which have ended (failsafe-go/failsafe-go#136). A probe that its caller cancels, or that never ends, takes no place
// from others (monix/monix#1080, svroonland/rezilience#521, resilience4j/resilience4j#935,
// diegosouzapw/OmniRoute#13836). The outcome of a call that began before the circuit opened does not count later
// (App-vNext/Polly#223).
func TestReportBreakerProbes(t *testing.T) {
	const openFor = time.Minute
	clock := new(after)
	circuits := breaker.New(breaker.Config{FailureThreshold: 1, OpenFor: openFor, HalfOpenMaxCalls: 1},
		breaker.WithClock(clock.now))
	begun, release := make(chan struct{}), make(chan struct{})
	s := setup{client: []hauberk.Interceptor{circuits}, handle: func(ctx context.Context, s hauberktest.Stream) error {
		req, err := s.Recv()
		if err != nil {
			return err
		}
		switch req.GetText() {
		case "fails":
			return errDown
		case "hangs":
			begun <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		case "fails late":
			begun <- struct{}{}
			<-release
			return errDown
		}
		return s.Send(new(testpb.Response))
	}}.start(t)
	want := func(text string, code codes.Code, state breaker.State) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := s.unary(ctx, text)
		if got := circuits.Circuits()[0].State; status.Code(err) != code || got != state {
			t.Errorf("%s: %v, and the circuit is %v; want %v and %v", text, err, got, code, state)
		}
	}
	var running sync.WaitGroup
	start := func(text string, ended codes.Code) context.CancelFunc {
		ctx, cancel := context.WithCancel(t.Context())
		running.Go(func() {
			if _, err := s.unary(ctx, text); status.Code(err) != ended {
				t.Errorf("%s: %v; want %v", text, err, ended)
			}
		})
		<-begun
		return cancel
	}
	defer start("fails late", codes.Unavailable)()
	want("fails", codes.Unavailable, breaker.Open)
	clock.move(openFor)
	cancel := start("hangs", codes.Canceled)
	want("works", codes.Unavailable, breaker.HalfOpen)
	cancel()
	for circuits.Circuits()[0].Probes > 0 {
		<-time.After(time.Millisecond)
	}
	defer start("hangs", codes.Canceled)()
	want("works", codes.Unavailable, breaker.HalfOpen)
	clock.move(openFor) // the time of a probe
	close(release)
	want("works", codes.OK, breaker.Closed)
	t.Cleanup(running.Wait)
}

// TestReportManyAttempts: the waits of thousands of attempts stay between 0 and the greatest
// (App-vNext/Polly#1866, App-vNext/Polly#2163, grpc-ecosystem/go-grpc-middleware#747, qdrant/go-client#153), and each
// attempt ends what it has begun (grpc-ecosystem/go-grpc-middleware#748).
func TestReportManyAttempts(t *testing.T) {
	const attempts, most = 3000, 3 * time.Second
	contexts := make([]context.Context, 0, attempts)
	waits := 0
	s := setup{
		client: []hauberk.Interceptor{
			retry.New(retry.Config{
				AllMethods: true, NoBudget: true, MaxAttempts: attempts, MaxBackoff: most, PerAttemptTimeout: time.Hour,
			}, retry.WithSleep(func(_ context.Context, d time.Duration) error {
				waits++
				if low := most - most/4; d <= 0 || d > most+most/4 || waits > 10 && d < low {
					t.Errorf("wait %d is %v", waits, d)
				}
				return nil
			})),
			hauberk.Func(func(ctx context.Context, _ *hauberk.Call, _ hauberk.Next) error {
				for i, earlier := range contexts[max(0, len(contexts)-2):] {
					if earlier.Err() == nil {
						t.Errorf("the context of attempt %d of %d has not ended", i, len(contexts))
					}
				}
				contexts = append(contexts, ctx)
				return errDown
			}),
		},
	}.start(t)
	if _, err := s.unary(t.Context(), ""); status.Code(err) != codes.Unavailable || waits != attempts-1 {
		t.Errorf("%v after %d waits; want UNAVAILABLE after %d", err, waits, attempts-1)
	}
}

// TestReportAttemptDeadlines: the server of an attempt receives the deadline of the attempt, or that of the call if it is
// earlier (envoyproxy/envoy#4628, envoyproxy/envoy#13196), and there is no attempt after that of the call
// (googleapis/java-bigtable-hbase#1858, onosproject/onos-lib-go#155).
func TestReportAttemptDeadlines(t *testing.T) {
	const attempt, all = 200 * time.Millisecond, 500 * time.Millisecond
	var mu sync.Mutex
	var left []time.Duration
	began := time.Now()
	s := setup{
		client: []hauberk.Interceptor{retry.New(retry.Config{
			AllMethods: true, NoBudget: true, MaxAttempts: 100, PerAttemptTimeout: attempt, InitialBackoff: 1, NoJitter: true,
		})},
		handle: func(ctx context.Context, _ hauberktest.Stream) error {
			deadline, _ := ctx.Deadline()
			mu.Lock()
			left = append(left, deadline.Sub(began))
			mu.Unlock()
			<-ctx.Done()
			return ctx.Err()
		},
	}.start(t)
	ctx, cancel := context.WithDeadline(t.Context(), began.Add(all))
	defer cancel()
	if _, err := s.unary(ctx, ""); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("%v; want DEADLINE_EXCEEDED", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(left) < 1 || len(left) > 4 {
		t.Errorf("%d attempts reached the server; want 3 or fewer on a slow machine", len(left))
	}
	for i, d := range left {
		if d > all+attempt/4 || i == 0 && d > attempt+all/2 {
			t.Errorf("attempt %d of %v had its deadline %v after the beginning of the call", i+1, len(left), d)
		}
	}
}

// TestReportHedgeAtOnce: a non-fatal failure starts the next attempt at once, not after the delay
// (grpc/grpc-java#10145). A failure does not end an attempt that runs (erpc/erpc#418).
func TestReportHedgeAtOnce(t *testing.T) {
	var calls atomic.Int64
	failed := make(chan struct{})
	s := setup{
		client: []hauberk.Interceptor{hedge.New(hedge.Config{
			AllMethods: true, MaxAttempts: 3, NoDelay: true, NoBudget: true,
		})},
		handle: func(_ context.Context, s hauberktest.Stream) error {
			if _, err := s.Recv(); err != nil {
				return err
			}
			if n := calls.Add(1); n < 3 {
				if n == 2 {
					defer close(failed)
				}
				return errDown
			}
			<-failed
			return s.Send(&testpb.Response{Text: "third"})
		},
	}.start(t)
	if text, err := s.unary(t.Context(), ""); text != "third" || err != nil {
		t.Errorf("%q, %v; want the response of the attempt that ran", text, err)
	}
	calls.Store(0)
	failing := setup{
		client: []hauberk.Interceptor{hedge.New(hedge.Config{
			AllMethods: true, MaxAttempts: 2, Delay: time.Hour, NoBudget: true,
		})},
		handle: func(_ context.Context, s hauberktest.Stream) error {
			if _, err := s.Recv(); err != nil || calls.Add(1) == 1 {
				return errors.Join(err, errDown)
			}
			return s.Send(&testpb.Response{Text: "second"})
		},
	}.start(t)
	if text, err := failing.unary(t.Context(), ""); text != "second" || err != nil {
		t.Errorf("%q, %v; want that of the second attempt, at once", text, err)
	}
}

// TestReportFlights: a caller that leaves does not let another call begin while the first one runs
// (janos/singleflight#4), and takes no other caller with it (snad-space/ztf-viewer#638). A caller that comes while a
// cancelled flight ends is not part of it (GetStream/stream-video-android#1764).
func TestReportFlights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		release := make(chan struct{})
		shared := coalesce.New(coalesce.Config{Methods: []string{"*"}, AcrossIdentities: true})
		env := hauberktest.Case{Side: hauberk.ClientSide}.StartWith(t, &hauberktest.Backend{
			Handle: numbered(&calls, func(int64) { <-release }),
		}, shared)
		ends := make(chan hauberktest.Outcome, 3)
		request := func(ctx context.Context) {
			go func() { ends <- env.Call(ctx, "same") }()
			synctest.Wait()
		}
		first, leave := context.WithCancel(t.Context())
		request(first)
		second, leaveToo := context.WithCancel(t.Context())
		request(second)
		leave()
		if end := <-ends; status.Code(end.Err) != codes.Canceled {
			t.Errorf("the caller that left has %v", end.Err)
		}
		request(t.Context())
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls; want 1, which two callers wait for", n)
		}
		leaveToo()
		<-ends
		close(release)
		if end := <-ends; end.Err != nil || end.Responses[0].GetText() != "1" {
			t.Errorf("%+v; want the response of the call that ran", end)
		}
		release = make(chan struct{})
		last, leaves := context.WithCancel(t.Context())
		request(last)
		leaves()
		synctest.Wait() // the handler runs
		request(t.Context())
		close(release)
		<-ends
		if end := <-ends; end.Err != nil || end.Responses[0].GetText() != "3" {
			t.Errorf("%+v; want the response of another call", end)
		}
	})
}

// TestReportCachedAnswers: a caller that modifies its response does not modify that of others
// (arthurfiorette/axios-cache-interceptor#580). A request with no-cache gets a new answer, also while a stale one is used
// (Kikobeats/cacheable-response#132). A stale answer is used while it is refreshed, and once the refresh has ended the new
// one (nodejs/undici#4471); it is not used for longer than configured (milwil-2/climb-elo#190).
func TestReportCachedAnswers(t *testing.T) {
	const ttl, stale = time.Minute, time.Hour
	var calls atomic.Int64
	clock := new(after)
	answers := cache.New(cache.Config{
		TTL: ttl, StaleWhileRevalidate: stale, Methods: []string{"*"}, AcrossIdentities: true,
	}, cache.WithClock(clock.now))
	defer answers.Close()
	s := setup{client: []hauberk.Interceptor{answers}, handle: numbered(&calls, atOnce)}.start(t)
	want := func(text string, pairs ...string) {
		t.Helper()
		if got, err := s.unary(metadata.AppendToOutgoingContext(t.Context(), pairs...), ""); got != text || err != nil {
			t.Errorf("%q, %v; want %q", got, err, text)
		}
	}
	resp := new(testpb.Response)
	for range 2 {
		err := s.conn.Invoke(t.Context(), hauberktest.FullMethod(hauberk.Unary), new(testpb.Request), resp)
		if err != nil || resp.GetText() != "1" {
			t.Errorf("%v, %v; want 1", resp, err)
		}
		resp.Text, resp.Index = "modified", 7
	}
	clock.move(ttl + time.Second)
	want("2", "cache-control", "no-cache")
	want("2")
	clock.move(ttl + time.Second)
	want("2")
	for calls.Load() < 3 || refreshed(answers) < 1 {
		<-time.After(time.Millisecond)
	}
	want("3")
	clock.move(ttl + stale)
	want("4")
}

// refreshed returns how many refreshes have ended well.
func refreshed(x *cache.Interceptor) float64 {
	for _, m := range x.Measurements() {
		if m.Name == "cache_refreshed_total" {
			return m.Value
		}
	}
	return -1
}

// TestReportKeys: equal calls with one key that arrive at the same time execute once
// (paveg/hono-idempotency#91, jcagarcia/grape-idempotency#10, square1-io/laravel-idempotency#5), also while the first one
// runs for longer than its lease. Repeats have the header and the status of the first
// (VSN2015/concerns_on_rails#47), and another request with the key is rejected (stripe/stripe-mock#25).
func TestReportKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lease = time.Second
		var calls atomic.Int64
		keys := idempotency.New(idempotency.Config{Lease: lease})
		handle := numbered(&calls, func(int64) { <-time.After(5 * lease) })
		env := hauberktest.Case{Side: hauberk.ServerSide}.StartWith(t, &hauberktest.Backend{
			Handle: func(ctx context.Context, s hauberktest.Stream) error {
				if err := s.SetHeader(metadata.Pairs("location", fmt.Sprint("orders/", calls.Load()+1))); err != nil {
					return err
				}
				return handle(ctx, s)
			},
		}, keys)
		ctx := metadata.AppendToOutgoingContext(t.Context(), idempotency.Header, "order-1")
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				out := env.Call(ctx, "order")
				if got := out.Header.Get("location"); out.Err != nil || out.Responses[0].GetText() != "1" || len(got) != 1 || got[0] != "orders/1" {
					t.Errorf("%+v; want the outcome of the only call", out)
				}
			})
		}
		wg.Wait()
		if out := env.Call(ctx, "another order"); hauberk.Reason(out.Err) != idempotency.ReasonReused || calls.Load() != 1 {
			t.Errorf("%v after %d calls; want %s after 1", out.Err, calls.Load(), idempotency.ReasonReused)
		}
	})
}
