package ratelimitrls_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitrls"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/rlsserver"
)

var algorithms = []ratelimit.Algorithm{ratelimit.GCRA, ratelimit.SlidingWindow, ratelimit.FixedWindow}

// limits returns a server that obeys the limits of requests, at a standstill in time.
func limits(t testing.TB, config rlsserver.Config) (*rlsserver.Server, *hauberktest.Clock) {
	t.Helper()
	clock := hauberktest.NewClock()
	config.Overrides = true
	if config.Domains == nil {
		config.Domains = []rlsserver.Domain{{Name: "shop"}}
	}
	s, err := rlsserver.New(config, rlsserver.WithClock(clock.Now))
	if err != nil {
		t.Fatal(err)
	}
	return s, clock
}

// patient are settings that wait for the server as long as it takes.
var patient = ratelimit.Shared{Timeout: long, Fail: ratelimit.FailClosed}

// silent does not log.
var silent = ratelimit.WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))

// counting returns a backend that echoes, and the number of its calls.
func counting() (*hauberktest.Backend, *atomic.Int64) {
	var calls atomic.Int64
	return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		calls.Add(1)
		return hauberktest.Echo(ctx, s)
	}}, &calls
}

// flood makes calls concurrently and returns the number that succeeded. Others must have been
// rejected by the limit.
func flood(t *testing.T, env *hauberktest.Env, calls int) int64 {
	t.Helper()
	var succeeded atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range calls / 4 {
				switch err := env.Call(t.Context()).Err; status.Code(err) {
				case codes.OK:
					succeeded.Add(1)
				case codes.ResourceExhausted:
				default:
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	return succeeded.Load()
}

// A flood of calls of all kinds, on both sides, passes exactly as often as the limit says.
func TestFlood(t *testing.T) {
	for _, algorithm := range algorithms {
		t.Run(algorithm.String(), func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				server, clock := limits(t, rlsserver.Config{OverrideAlgorithm: algorithm})
				store := ratelimitrls.New(dial(t, server), ratelimitrls.Config{Domain: "shop"})
				backend, calls := counting()
				env := c.StartWith(t, backend, ratelimit.New(ratelimit.Config{
					Limit: 20, Per: time.Minute, By: byContextOrMethod(c), Shared: patient,
					Also: []ratelimit.Config{{Limit: 30, Per: time.Hour, By: callkey.Global()}},
				}, ratelimit.WithStore(store)))
				if n := flood(t, env, 60); n != 20 || calls.Load() != 20 {
					t.Errorf("%d calls succeeded, the handler ran %d times; want 20", n, calls.Load())
				}
				clock.Advance(time.Minute)
				if n := flood(t, env, 60); n > 11 || n < 10 || calls.Load() != 20+n { // GCRA: of 30 an hour, half a permit is back
					t.Errorf("%d calls succeeded, the handler ran %d times; want 10 more by the second limit", n, calls.Load())
				}
			})
		})
	}
}

// byContextOrMethod is a key that the calls of a test have.
func byContextOrMethod(c hauberktest.Case) callkey.Key {
	if c.Side == hauberk.ServerSide {
		return callkey.Metadata("user")
	}
	return callkey.Method()
}

// adder counts as the reference server does: it adds the hits of every descriptor, also if one of
// them is over its limit.
type adder struct {
	rlsv3.UnimplementedRateLimitServiceServer

	mu   sync.Mutex
	hits map[string]uint64
}

func (a *adder) ShouldRateLimit(_ context.Context, req *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	resp := answer(ok)
	for _, d := range req.GetDescriptors() {
		hits := uint64(max(req.GetHitsAddend(), 1))
		if d.GetHitsAddend() != nil {
			hits = d.GetHitsAddend().GetValue()
		}
		key, limit := d.GetEntries()[0].String(), uint64(d.GetLimit().GetRequestsPerUnit())
		a.hits[key] += hits
		s := state(ok, uint32(limit-min(a.hits[key], limit)), time.Minute)
		s.CurrentLimit = current(uint32(limit), rlsv3.RateLimitResponse_RateLimit_Unit(d.GetLimit().GetUnit()))
		if a.hits[key] > limit {
			s.Code, resp.OverallCode = over, over
		}
		resp.Statuses = append(resp.Statuses, s)
	}
	return resp, nil
}

// A server that adds the hits of every request admits what the limits say too. Unlike rlsserver it
// counts rejected calls.
func TestAdder(t *testing.T) {
	a := &adder{hits: make(map[string]uint64)}
	store := ratelimitrls.New(dial(t, a), ratelimitrls.Config{Domain: "shop"})
	backend, calls := counting()
	env := hauberktest.Case{}.StartWith(t, backend, ratelimit.New(ratelimit.Config{
		Limit: 20, Per: time.Minute, By: callkey.Method(), Shared: patient,
		Also: []ratelimit.Config{{Limit: 90, Per: time.Hour, By: callkey.Global(), Cost: ratelimit.Cost{Call: 3}}},
	}, ratelimit.WithStore(store)))
	if n := flood(t, env, 60); n != 20 || calls.Load() != 20 {
		t.Errorf("%d calls succeeded, the handler ran %d times; want 20", n, calls.Load())
	}
	sum := uint64(0)
	for _, n := range a.hits {
		sum += n
	}
	if sum != 60+60*3 {
		t.Errorf("the server counted %d hits; want those of 60 calls, 240", sum)
	}
}

// Nodes that use the same server share the limit.
func TestNodes(t *testing.T) {
	server, _ := limits(t, rlsserver.Config{})
	conn := dial(t, server)
	backend, calls := counting()
	var all sync.WaitGroup
	for range 4 {
		env := hauberktest.Case{}.StartWith(t, backend, ratelimit.New(ratelimit.Config{
			Limit: 100, Per: time.Minute, By: callkey.Method(), Shared: patient,
		}, ratelimit.WithStore(ratelimitrls.New(conn, ratelimitrls.Config{Domain: "shop"}))))
		all.Go(func() { flood(t, env, 80) })
	}
	all.Wait()
	if calls.Load() != 100 {
		t.Errorf("the handlers ran %d times; want 100", calls.Load())
	}
}

// A rejection says when the call can succeed; another value of the key and a call without the
// key have their own quotas.
func TestRejection(t *testing.T) {
	server, _ := limits(t, rlsserver.Config{})
	store := ratelimitrls.New(dial(t, server), ratelimitrls.Config{Domain: "shop"})
	env := hauberktest.Case{}.Start(t, ratelimit.New(ratelimit.Config{
		Limit: 1, Per: time.Minute, By: callkey.Metadata("user"), Shared: patient,
	}, ratelimit.WithStore(store)))
	as := func(user string) context.Context { return metadata.AppendToOutgoingContext(t.Context(), "user", user) }
	for range 2 {
		env.Call(as("alice"))
	}
	out := env.Call(as("alice"))
	wantCode(t, out.Err, codes.ResourceExhausted)
	for _, d := range hauberk.StatusOf(out.Err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok && info.GetRetryDelay().AsDuration() != time.Minute {
			t.Errorf("retry after %v; want a minute", info.GetRetryDelay().AsDuration())
		}
	}
	if got := out.Trailer.Get("grpc-retry-pushback-ms"); len(got) != 1 || got[0] != "60000" {
		t.Errorf("pushback %q; want a minute", got)
	}
	wantCode(t, env.Call(as("bob")).Err, codes.OK)
	wantCode(t, env.Call(t.Context()).Err, codes.OK)
	wantCode(t, env.Call(t.Context()).Err, codes.ResourceExhausted)
}

// The limits of the server's configuration count with ServerLimits.
func TestServerLimits(t *testing.T) {
	server, _ := limits(t, rlsserver.Config{Domains: []rlsserver.Domain{{
		Name: "shop",
		Descriptors: []rlsserver.Descriptor{
			{Key: "method", Limit: &rlsserver.Limit{Permits: 3, Per: 1500 * time.Millisecond, Burst: 7}},
		},
	}}})
	store := ratelimitrls.New(dial(t, server), ratelimitrls.Config{Domain: "shop", ServerLimits: true})
	backend, calls := counting()
	env := hauberktest.Case{}.StartWith(t, backend, ratelimit.New(ratelimit.Config{
		Limit: 1, Per: time.Millisecond, By: callkey.Method(), Shared: patient,
	}, ratelimit.WithStore(store)))
	if n := flood(t, env, 40); n != 7 || calls.Load() != 7 {
		t.Errorf("%d calls succeeded, the handler ran %d times; want 7", n, calls.Load())
	}
}

// A domain that the server does not have is a failure, not an unlimited service.
func TestWrongDomain(t *testing.T) {
	server, _ := limits(t, rlsserver.Config{})
	for _, admit := range []bool{false, true} {
		store := ratelimitrls.New(dial(t, server), ratelimitrls.Config{Domain: "other", AdmitUnlimited: admit})
		env := hauberktest.Case{}.Start(t, ratelimit.New(ratelimit.Config{
			Limit: 100, Per: time.Minute, By: callkey.Method(), Shared: patient,
		}, ratelimit.WithStore(store), silent))
		want := codes.Unavailable
		if admit {
			want = codes.OK
		}
		wantCode(t, env.Call(t.Context()).Err, want)
	}
}

// Handlers charge the limit for more than there is, and give back.
func TestChargeInHandler(t *testing.T) {
	server, _ := limits(t, rlsserver.Config{Domains: []rlsserver.Domain{{
		Name: "shop",
		Descriptors: []rlsserver.Descriptor{
			{Key: "method", Limit: &rlsserver.Limit{Permits: 10, Per: time.Minute, ChargeRejected: true}},
		},
	}}})
	store := ratelimitrls.New(dial(t, server), ratelimitrls.Config{Domain: "shop", ServerLimits: true, NegativeHits: true})
	limiter := ratelimit.New(ratelimit.Config{
		Limit: 10, Per: time.Minute, By: callkey.Method(), Cost: ratelimit.Cost{Call: 1, Charged: true}, Shared: patient,
	}, ratelimit.WithStore(store))
	charge := make(chan int, 1)
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		return errors.Join(limiter.Charge(ctx, <-charge), hauberktest.Echo(ctx, s))
	}}
	env := hauberktest.Case{}.StartWith(t, backend, limiter)
	call := func(n int) codes.Code {
		charge <- n
		code := status.Code(env.Call(t.Context()).Err)
		if code != codes.OK {
			<-charge
		}
		return code
	}
	for i, step := range []struct {
		charge int
		want   codes.Code
	}{
		{8, codes.OK},                 // 1 remains
		{-5, codes.OK},                // 5 remain
		{7, codes.OK},                 // a debt of 3
		{0, codes.ResourceExhausted},  // of 4
		{-1, codes.ResourceExhausted}, // of 5, since a rejected call gives nothing back
	} {
		if got := call(step.charge); got != step.want {
			t.Errorf("step %d: %v; want %v", i+1, got, step.want)
		}
	}
}

// If the server fails, the failure mode counts from the first call, and three failures open the
// circuit.
func TestFailures(t *testing.T) {
	failing := map[string]func(ctx context.Context) (*rlsv3.RateLimitResponse, error){
		"an error": func(context.Context) (*rlsv3.RateLimitResponse, error) {
			return nil, status.Error(codes.Internal, "broken")
		},
		"an empty answer": func(context.Context) (*rlsv3.RateLimitResponse, error) { return new(rlsv3.RateLimitResponse), nil },
		"an unknown descriptor": func(context.Context) (*rlsv3.RateLimitResponse, error) {
			return answer(ok, &rlsv3.RateLimitResponse_DescriptorStatus{Code: ok}), nil
		},
		"no answer": func(ctx context.Context) (*rlsv3.RateLimitResponse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	}
	for name, fail := range failing {
		for mode, want := range map[ratelimit.FailureMode]int{ratelimit.FailLocal: 5, ratelimit.FailOpen: 20, ratelimit.FailClosed: 0} {
			t.Run(name+"/"+mode.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				s := &service{answer: func(ctx context.Context, _ *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
					return fail(ctx)
				}}
				limiter := ratelimit.New(ratelimit.Config{
					Limit: 10, Per: time.Hour, By: callkey.Method(),
					Shared: ratelimit.Shared{Fail: mode, Nodes: 2, Timeout: 50 * time.Millisecond, RetryStore: long},
				}, ratelimit.WithStore(ratelimitrls.New(dial(t, s), ratelimitrls.Config{Domain: "shop"})), silent)
				backend, calls := counting()
				env := hauberktest.Case{}.StartWith(t, backend, limiter)
				for range 20 {
					err := env.Call(t.Context()).Err
					if mode == ratelimit.FailClosed && hauberk.Reason(err) != ratelimit.ReasonUnavailable {
						t.Errorf("%v; want %s", err, ratelimit.ReasonUnavailable)
					}
				}
				if calls.Load() != int64(want) || s.asked.Load() > 3 {
					t.Errorf("the handler ran %d times, the server was asked %d times; want %d and 3", calls.Load(), s.asked.Load(), want)
				}
				if n, failing := limiter.StoreFailures(); n != 3 || !failing {
					t.Errorf("%d failures, %t", n, failing)
				}
			})
		}
	}
}
