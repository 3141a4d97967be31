package ratelimit_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// store is a Store with one quota for each key, whose permits do not return.
type store struct {
	openErr error

	mu     sync.Mutex
	limits []ratelimit.Limit
	taken  map[string]int
	fails  error
	hangs  bool
	asked  int
}

func (s *store) Open(limits []ratelimit.Limit) (ratelimit.Quotas, error) {
	s.limits, s.taken = limits, make(map[string]int)
	if s.openErr != nil {
		return nil, s.openErr
	}
	return s, nil
}

// fail makes the store fail with an error, hang until the timeout, or work again.
func (s *store) fail(err error, hangs bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails, s.hangs = err, hangs
}

func (s *store) down(ctx context.Context, timeout time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	s.asked++
	err, hangs := s.fails, s.hangs
	s.mu.Unlock()
	if !hangs {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(timeout):
		return errors.New("timeout")
	}
}

func keyOf(d *ratelimit.Demand) string {
	if d.Peer {
		return "peer " + string(rune('0'+d.Limit)) + string(d.Key)
	}
	return string(rune('0'+d.Limit)) + string(d.Key)
}

func (s *store) Take(ctx context.Context, timeout time.Duration, demands []ratelimit.Demand, answers []ratelimit.Decision) error {
	if err := s.down(ctx, timeout); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := true
	for i := range demands {
		d := &demands[i]
		free := s.limits[d.Limit].Burst - s.taken[keyOf(d)]
		answers[i] = ratelimit.Decision{OK: d.Permits <= free, Remaining: free}
		if !answers[i].OK {
			answers[i].RetryAfter = time.Minute
		}
		all = all && answers[i].OK
	}
	for i := range demands {
		if all {
			s.taken[keyOf(&demands[i])] += demands[i].Permits
		}
	}
	return nil
}

func (s *store) Charge(ctx context.Context, timeout time.Duration, demands []ratelimit.Demand) error {
	if err := s.down(ctx, timeout); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range demands {
		s.taken[keyOf(&demands[i])] += demands[i].Permits
	}
	return nil
}

// of returns how many permits of a key are taken.
func (s *store) of(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken[key]
}

// count returns how often the store was asked.
func (s *store) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// quiet drops log records.
var quiet = ratelimit.WithLogger(slog.New(slog.DiscardHandler))

// Two interceptors with the same store share the quotas, for all kinds and both sides.
func TestStore(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		s := &store{}
		config := hourly(3, ratelimit.Cost{})
		config.By = callkey.Metadata("user")
		config.Also = []ratelimit.Config{hourly(10, ratelimit.Cost{Call: 2})}
		first, second := ratelimit.New(config, ratelimit.WithStore(s)), &sharing{s}
		env, other := c.Start(t, first), c.Start(t, ratelimit.New(config, ratelimit.WithStore(second)))
		alice := metadata.AppendToOutgoingContext(t.Context(), "user", "alice")
		bob := metadata.AppendToOutgoingContext(t.Context(), "user", "bob")
		wantCode(t, env.Call(alice).Err, codes.OK)
		wantCode(t, other.Call(alice).Err, codes.OK)
		wantCode(t, env.Call(alice).Err, codes.OK)
		wantRejection(t, other.Call(alice).Err, "metadata:user", time.Minute)
		wantCode(t, env.Call(bob).Err, codes.OK)
		wantCode(t, other.Call(bob).Err, codes.OK)
		wantRejection(t, env.Call(bob).Err, "everything", time.Minute)
		wantRejection(t, env.Call(t.Context()).Err, "everything", time.Minute) // by its peer
		if first.Keys() != 0 {
			t.Errorf("%d keys in memory", first.Keys())
		}
	})
}

// sharing gives another interceptor the quotas of a store.
type sharing struct{ *store }

func (s *sharing) Open([]ratelimit.Limit) (ratelimit.Quotas, error) { return s.store, nil }

// The failure mode holds from the first call, each call waits for the timeout at most, and after
// three failures the store is left alone, until one call finds that it answers again.
func TestFailureModes(t *testing.T) {
	for mode, want := range map[ratelimit.FailureMode][]codes.Code{
		ratelimit.FailLocal:  {codes.OK, codes.OK, codes.ResourceExhausted, codes.ResourceExhausted, codes.ResourceExhausted},
		ratelimit.FailOpen:   {codes.OK, codes.OK, codes.OK, codes.OK, codes.OK},
		ratelimit.FailClosed: {codes.Unavailable, codes.Unavailable, codes.Unavailable, codes.Unavailable, codes.Unavailable},
	} {
		for _, hangs := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := &store{fails: errors.New("secret address"), hangs: hangs}
				config := hourly(6, ratelimit.Cost{})
				config.Shared = ratelimit.Shared{Fail: mode, Nodes: 3}
				limiter := ratelimit.New(config, ratelimit.WithStore(s), quiet)
				serve := server(t, limiter)
				for i, code := range want {
					start := time.Now()
					err := serve(t.Context())
					wantCode(t, err, code)
					allowed := ratelimit.DefaultTimeout
					if !hangs || i >= 3 {
						allowed = 0
					}
					if took := time.Since(start); took > allowed {
						t.Errorf("%v: call %d took %v", mode, i, took)
					}
					if code == codes.Unavailable && (hauberk.Reason(err) != ratelimit.ReasonUnavailable ||
						!errors.Is(err, ratelimit.ErrUnavailable) || strings.Contains(hauberk.StatusOf(err).Message(), "secret")) {
						t.Errorf("%v", err)
					}
					if code == codes.Unavailable && retryAfter(err) != ratelimit.DefaultRetryStore {
						t.Errorf("retry after %v, want %v", retryAfter(err), ratelimit.DefaultRetryStore)
					}
				}
				if failures, failing := limiter.StoreFailures(); failures != 3 || !failing || s.count() != 3 {
					t.Errorf("%v: %d failures, failing %t, asked %d times", mode, failures, failing, s.count())
				}
				s.fail(nil, false)
				<-time.After(ratelimit.DefaultRetryStore)
				wantCode(t, serve(t.Context()), codes.OK)
				if failures, failing := limiter.StoreFailures(); failures != 3 || failing || s.count() != 4 {
					t.Errorf("%v: %d failures, failing %t, asked %d times", mode, failures, failing, s.count())
				}
				if got := admitted(t, serve, t.Context()); got != 5 {
					t.Errorf("%v: %d calls more, want the 5 that the store has", mode, got)
				}
			})
		}
	}
}

// A call whose context ends while it waits for the store ends with that, and does not count as a failure of
// the store. What the store does after that does.
func TestContextEndsAtTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{hangs: true}
		config := hourly(1, ratelimit.Cost{})
		config.Shared = ratelimit.Shared{Timeout: time.Minute, Fail: ratelimit.FailOpen}
		limiter := ratelimit.New(config, ratelimit.WithStore(s), quiet)
		serve := server(t, limiter)
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			wantCode(t, serve(ctx), codes.DeadlineExceeded)
			cancel()
		}
		for _, want := range []uint64{0, 1} {
			if failures, failing := limiter.StoreFailures(); failures != want || failing {
				t.Errorf("%d failures, failing %t; want %d", failures, failing, want)
			}
			<-time.After(time.Minute)
			synctest.Wait()
		}
	})
}

// Charges go to the store, and where calls go if it fails.
func TestChargeOfStore(t *testing.T) {
	for _, mode := range []ratelimit.FailureMode{ratelimit.FailLocal, ratelimit.FailOpen, ratelimit.FailClosed} {
		s := &store{}
		config := hourly(10, ratelimit.Cost{Charged: true, Call: 1})
		config.Shared.Fail = mode
		limiter := ratelimit.New(config, ratelimit.WithStore(s), quiet)
		var charged error
		env := hauberktest.Case{}.StartWith(t, charging(func(ctx context.Context) error {
			charged = limiter.Charge(ctx, 9)
			return nil
		}), limiter)
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		if charged != nil || s.taken["0"] != 10 {
			t.Errorf("%v: charged %v, taken %v", mode, charged, s.taken)
		}
		wantCode(t, env.Call(t.Context()).Err, codes.ResourceExhausted)
		s.fail(errors.New("down"), false)
		charged = nil
		err := env.Call(t.Context()).Err
		if want := map[ratelimit.FailureMode]codes.Code{ratelimit.FailClosed: codes.Unavailable}[mode]; want != hauberk.CodeOf(err) {
			t.Errorf("%v: %v", mode, err)
		}
		if mode == ratelimit.FailLocal {
			wantCode(t, env.Call(t.Context()).Err, codes.ResourceExhausted)
		}
	}
}

// The rejection of a message has the name of the interceptor too: hooks have to say it.
func TestUnavailableInsideAStream(t *testing.T) {
	s := &store{}
	config := hourly(10, ratelimit.Cost{Message: 1})
	config.Shared.Fail = ratelimit.FailClosed
	seen := observe()
	env := hauberktest.Case{Kind: hauberk.Bidi}.Start(t, seen, ratelimit.New(config, ratelimit.WithStore(s), quiet))
	s.fail(errors.New("down"), false)
	wantCode(t, env.Call(t.Context()).Err, codes.Unavailable)
	<-seen.ended
	want := hauberk.Decision{
		Interceptor: "ratelimit", Rule: "10 in 1000h0m0s by everything", Verdict: hauberk.Rejected,
		Reason: ratelimit.ReasonUnavailable,
	}
	if len(seen.decisions) != 1 || seen.decisions[0] != want {
		t.Errorf("decisions %+v, want %+v", seen.decisions, want)
	}
}

// While the store fails, a call that costs more than the part of this node is rejected until the store is asked again,
// and one that costs more than the whole burst for ever.
func TestCostAboveThePart(t *testing.T) {
	for _, algorithm := range []ratelimit.Algorithm{ratelimit.GCRA, ratelimit.SlidingWindow, ratelimit.FixedWindow} {
		for cost, waits := range map[int]time.Duration{3: 0, 4: ratelimit.DefaultRetryStore, 9: ratelimit.DefaultRetryStore, 10: -1} {
			for _, more := range []int{0, 1} {
				config := hourly(9, ratelimit.Cost{Of: costs(cost)})
				config.Algorithm, config.Shared.Nodes = algorithm, 3
				for range more {
					config.Also = append(config.Also, hourly(100, ratelimit.Cost{}))
				}
				err := server(t, ratelimit.New(config, ratelimit.WithStore(&store{fails: errors.New("down")}), quiet))(t.Context())
				if waits == 0 {
					wantCode(t, err, codes.OK)
				} else {
					wantRejection(t, err, "everything", waits)
				}
			}
		}
	}
}

// A part of the greatest limit does not overflow.
func TestPartOfAbsurdLimit(t *testing.T) {
	config := ratelimit.Config{Limit: math.MaxInt, Per: time.Hour, Algorithm: ratelimit.FixedWindow}
	config.Shared.Nodes = 3
	limiter := ratelimit.New(config, ratelimit.WithStore(&store{fails: errors.New("down")}), quiet)
	wantCode(t, server(t, limiter)(t.Context()), codes.OK)
}

// A change is logged once.
func TestStoreIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &store{fails: errors.New("no route")}
		limiter := ratelimit.New(hourly(100, ratelimit.Cost{}), ratelimit.WithStore(s),
			ratelimit.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		serve := server(t, limiter)
		for range 10 {
			wantCode(t, serve(t.Context()), codes.OK)
		}
		s.fail(nil, false)
		<-time.After(time.Second)
		wantCode(t, serve(t.Context()), codes.OK)
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], `error="no route" mode=local`) ||
			!strings.Contains(lines[1], "answers again") {
			t.Errorf("%s", log.String())
		}
	})
}

func TestStoreErrors(t *testing.T) {
	shared := hourly(1, ratelimit.Cost{})
	shared.Shared = ratelimit.Shared{Fail: 7, Nodes: -1, Timeout: -1, RetryStore: -1}
	alone := hourly(1, ratelimit.Cost{})
	alone.Shared.Nodes = 2
	plain := hourly(1, ratelimit.Cost{})
	for want, x := range map[string]*ratelimit.Interceptor{
		"Shared.Fail is 7; want FailLocal":             ratelimit.New(shared, ratelimit.WithStore(&store{})),
		"Shared.Nodes is -1; want at least 1":          ratelimit.New(shared, ratelimit.WithStore(&store{})),
		"Shared.Timeout is -1ns":                       ratelimit.New(shared, ratelimit.WithStore(&store{})),
		"Shared.RetryStore is -1ns":                    ratelimit.New(shared, ratelimit.WithStore(&store{})),
		"Shared has no effect without WithStore":       ratelimit.New(alone),
		"WithStore was given a nil Store":              ratelimit.New(plain, ratelimit.WithStore(nil)),
		"WithLogger was given a nil Logger":            ratelimit.New(plain, ratelimit.WithLogger(nil)),
		"no server":                                    ratelimit.New(plain, ratelimit.WithStore(&store{openErr: errors.New("no server")})),
		"the store given to WithStore returned no quo": ratelimit.New(plain, ratelimit.WithStore(empty{})),
	} {
		if _, err := hauberk.New(x); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
		_, _ = x.StoreFailures()
		_, _ = x.Keys(), x.Evicted()
	}
	if got := ratelimit.FailureMode(7).String(); got != "FailureMode(7)" {
		t.Error(got)
	}
}

type empty struct{}

func (empty) Open([]ratelimit.Limit) (ratelimit.Quotas, error) { return nil, nil }
