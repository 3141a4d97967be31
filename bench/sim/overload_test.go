package main

import (
	"context"
	"flag"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/bench/internal/curve"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/retrybudget"
)

var out = flag.String("out", "", "folder to write CSV and SVG to; the default writes none")

// The scenario of an overload: a server becomes ten times slower for two seconds, while its clients go on
// calling as often as before.
const (
	overloadWorkers  = 20
	overloadService  = 100 * time.Millisecond // mean
	overloadCapacity = 200                    // calls a second, by the above
	overloadFactor   = 10                     // by which the service is slower during the step
	overloadStep     = 10 * time.Second
	overloadEnd      = 12 * time.Second // of the step
	overloadLength   = 40 * time.Second
	overloadClients  = 5           // processes
	overloadAttempt  = time.Second // the timeout of an attempt
	overloadCall     = 4 * time.Second
	overloadLoad     = 70 // percent of the capacity that the calls are, without retries
)

// overloadSecond is what happened in one second.
type overloadSecond struct {
	Made     int // calls of applications
	OK       int // calls of applications that ended with OK
	Attempts int // that the server received
}

// overload is a run of the scenario. The server has one queue, in order of arrival and without a bound, and
// does not notice that a client has left: it works on every attempt.
type overload struct {
	start time.Time

	mu      sync.Mutex // guards the fields below
	random  *rand.Rand
	free    []time.Duration // when each worker will have done its work so far, since start
	seconds []overloadSecond
}

// overloadRetries configures the retries of a client. A nil budget is that of config.
type overloadRetries struct {
	config retry.Config
	budget *retrybudget.Config
}

// interceptor returns the retries of one client.
func (r overloadRetries) interceptor(random func() float64) *retry.Interceptor {
	r.config.AllMethods, r.config.PerAttemptTimeout = true, overloadAttempt
	opts := []retry.Option{retry.WithRandom(random)}
	if r.budget != nil {
		opts = append(opts, retry.WithBudget(retrybudget.New(*r.budget)))
	}
	return retry.New(r.config, opts...)
}

// runOverload simulates clients with the interceptors deadline and retry, whose calls are load percent of the
// capacity of the server.
func runOverload(t *testing.T, retries overloadRetries, load int, seed uint64) []overloadSecond {
	t.Helper()
	w := &overload{
		random: rand.New(rand.NewPCG(seed, 0)), free: make([]time.Duration, overloadWorkers),
		seconds: make([]overloadSecond, overloadLength/time.Second),
	}
	gap := time.Second * overloadClients * 100 / time.Duration(overloadCapacity*load)
	synctest.Test(t, func(t *testing.T) {
		w.start = time.Now()
		var clients sync.WaitGroup
		for i := range uint64(overloadClients) {
			chain := hauberk.Must(hauberk.New(
				deadline.New(deadline.Config{Default: overloadCall}), retries.interceptor(w.float),
			))
			random := rand.New(rand.NewPCG(seed, i+1))
			clients.Go(func() { w.client(t.Context(), chain.ClientConn(w), gap, random) })
		}
		clients.Wait()
	})
	return w.seconds
}

// client makes the calls of one process at almost even times, and waits for their ends.
func (w *overload) client(ctx context.Context, conn grpc.ClientConnInterface, gap time.Duration, random *rand.Rand) {
	var calls sync.WaitGroup
	defer calls.Wait()
	<-time.After(time.Duration(random.Float64() * float64(gap)))
	for time.Since(w.start) < overloadLength {
		w.note(func(s *overloadSecond) { s.Made++ })
		calls.Go(func() {
			err := conn.Invoke(ctx, hauberktest.FullMethod(hauberk.Unary), &testpb.Request{}, &testpb.Response{})
			if err == nil {
				w.note(func(s *overloadSecond) { s.OK++ })
			}
		})
		<-time.After(time.Duration(float64(gap) * (0.95 + 0.1*random.Float64())))
	}
}

// Invoke is an attempt, as the connection of the clients.
func (w *overload) Invoke(ctx context.Context, _ string, _, _ any, _ ...grpc.CallOption) error {
	w.note(func(s *overloadSecond) { s.Attempts++ })
	answer := time.NewTimer(w.serve())
	defer answer.Stop()
	select {
	case <-answer.C:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

// NewStream is not called.
func (*overload) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	panic("a stream")
}

// serve gives an attempt to the worker that is free first, and returns how long it takes until its end.
func (w *overload) serve() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	least := slices.Min(w.free)
	begin := max(least, time.Since(w.start))
	takes := float64(overloadService) * (0.5 + w.random.Float64())
	if begin >= overloadStep && begin < overloadEnd {
		takes *= overloadFactor
	}
	end := begin + time.Duration(takes)
	w.free[slices.Index(w.free, least)] = end
	return end - time.Since(w.start)
}

// float returns the jitter of retries.
func (w *overload) float() float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.Float64()
}

// note counts in the current second. What happens after the end does not count.
func (w *overload) note(count func(s *overloadSecond)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := int(time.Since(w.start) / time.Second); i < len(w.seconds) {
		count(&w.seconds[i])
	}
}

// recovered returns after how many seconds since the end of the step the goodput is, for good, at least 95 %
// of what it was before the step, or false if it is not until the end.
func recovered(seconds []overloadSecond) (int, bool) {
	const step, end = int(overloadStep / time.Second), int(overloadEnd / time.Second)
	before := 0
	for _, s := range seconds[1:step] { // the first second is shorter by the duration of a call
		before += s.OK
	}
	least := 0.95 * float64(before) / float64(step-1)
	n := len(seconds)
	for n > end && float64(seconds[n-1].OK) >= least {
		n--
	}
	return n - end, n < len(seconds)
}

// TestOverload: after an overload the goodput returns within 10 s with the default budget, at up to 80 % load. It
// stays at nothing without a budget, though the load is the same.
func TestOverload(t *testing.T) {
	for seed := range uint64(2) {
		with := runOverload(t, overloadRetries{}, overloadLoad, seed)
		without := runOverload(t, overloadRetries{config: retry.Config{NoBudget: true}}, overloadLoad, seed)
		for load, seconds := range map[int][]overloadSecond{
			overloadLoad: with, 75: runOverload(t, overloadRetries{}, 75, seed), 80: runOverload(t, overloadRetries{}, 80, seed),
		} {
			if after, ok := recovered(seconds); !ok || after > 10 {
				t.Errorf("seed %d: with the default budget at %d %% load the goodput is back after %d s (%t), want at most 10 s",
					seed, load, after, ok)
			}
		}
		for i, s := range without[overloadEnd/time.Second:] {
			if s.OK > s.Made/20 {
				t.Errorf("seed %d: without a budget %d of %d calls are OK %d s after the step", seed, s.OK, s.Made, i)
			}
		}
		if seed == 0 && *out != "" {
			drawOverload(t, with, without)
		}
	}
}

// TestOverloadSettings: docs/resilience.md has these times. The nearer the load is to the capacity, the
// longer it takes with retries that only a ratio bounds; with a bound of failures as well, not much longer than
// without retries.
func TestOverloadSettings(t *testing.T) {
	const never = int((overloadLength - overloadEnd) / time.Second) // not until the end
	for _, c := range []struct {
		name       string
		retries    overloadRetries
		at70, at80 int // seconds, at these loads in percent
	}{
		{"one attempt", overloadRetries{config: retry.Config{MaxAttempts: 1}}, 4, 6},
		{"a ratio and tokens", overloadRetries{budget: &retrybudget.Config{MaxTokens: 10}}, 4, 7},
		{"the default budget", overloadRetries{}, 6, 10},
		{"a ratio of 0.1 alone", overloadRetries{budget: &retrybudget.Config{Ratio: 0.1, NoFailureRatio: true}}, 6, 14},
		{"the default ratio alone", overloadRetries{budget: &retrybudget.Config{NoFailureRatio: true}}, 9, never},
	} {
		for load, want := range map[int]int{70: c.at70, 80: c.at80} {
			if got, _ := recovered(runOverload(t, c.retries, load, 0)); got != want {
				t.Errorf("%s at %d %%: the goodput is back after %d s, want %d s", c.name, load, got, want)
			}
		}
	}
}

// drawOverload writes the goodput and the load of two runs.
func drawOverload(t *testing.T, with, without []overloadSecond) {
	goodput := &curve.Curve{
		Name: "retry-overload", Title: "A service ten times slower from 10 s to 12 s: goodput", X: "seconds",
		Y: "OK calls in a second", Unit: "calls", Shape: curve.Linear,
		Series: []curve.Series{{Name: "default budget"}, {Name: "without a budget"}},
	}
	load := &curve.Curve{
		Name: "retry-overload-attempts", Title: "A service ten times slower from 10 s to 12 s: its load", X: "seconds",
		Y: "attempts in a second", Unit: "attempts", Shape: curve.Linear,
		Series: []curve.Series{{Name: "default budget"}, {Name: "without a budget"}},
	}
	for k, seconds := range [][]overloadSecond{with, without} {
		for i, s := range seconds {
			x := float64(i)
			goodput.Series[k].Points = append(goodput.Series[k].Points, curve.Point{X: x, Y: float64(s.OK)})
			load.Series[k].Points = append(load.Series[k].Points, curve.Point{X: x, Y: float64(s.Attempts)})
		}
	}
	for _, c := range []*curve.Curve{goodput, load} {
		if err := write(*out, c); err != nil {
			t.Fatal(err)
		}
	}
}
