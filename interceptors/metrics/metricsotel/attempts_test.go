package metricsotel_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsotel"
)

// ofRetries are the instruments of gRFC A96.
var ofRetries = []string{
	metricsotel.ClientCallRetries, metricsotel.ClientCallHedges, metricsotel.ClientCallRetryDelay,
}

// retryAfter makes up to n attempts per call and calls wait between them.
func retryAfter(n int, wait func()) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.Replayable(1 << 20)
		err := next(ctx, call)
		for range n - 1 {
			if err != nil {
				wait()
				err = next(ctx, call)
			}
		}
		return err
	})
}

// Retries and the time between attempts are recorded for each kind of call. A call without retries
// records nothing.
func TestRetries(t *testing.T) {
	for _, kind := range kindsOr(nil) {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			clock, provider := hauberktest.NewClock(), newRecorder(t)
			m := metricsotel.New(metricsotel.Config{Enable: ofRetries},
				metricsotel.WithMeterProvider(provider), metricsotel.WithClock(clock.Now))
			// The duration of attempts is not delay.
			slow := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				clock.Advance(time.Minute)
				return next(ctx, call)
			})
			ended := make(chan struct{}, 1)
			c := cell{hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}}
			env := c.StartWith(t, flaky(), signal(ended), m.Calls(),
				retryAfter(3, func() { clock.Advance(1500 * time.Millisecond) }), m.Attempts(), slow)
			for range 2 {
				if out := c.call(t, env); out.Err != nil {
					t.Fatal(out.Err)
				}
				<-ended
			}
			method := "method=" + shortMethod(kind)
			checkPoints(t, provider, map[string]map[string]string{
				metricsotel.ClientAttemptStarted:  {method: "6"},
				metricsotel.ClientAttemptDuration: {method + " status=OK": "2", method + " status=UNAVAILABLE": "4"},
				metricsotel.ClientCallDuration:    {method + " status=OK": "2"},
				metricsotel.ClientCallRetries:     {method: "2 sum 4 in [1 1]"},
				metricsotel.ClientCallRetryDelay:  {method: "2"},
			})
			if delay := provider.collect(t)[metricsotel.ClientCallRetryDelay].sum; delay != 6 {
				t.Errorf("delay %v s, want 6", delay)
			}
		})
	}
}

// Concurrent attempts are hedges. One after all of them have failed is a retry.
func TestHedges(t *testing.T) {
	clock, provider := hauberktest.NewClock(), newRecorder(t)
	m := metricsotel.New(metricsotel.Config{Enable: ofRetries},
		metricsotel.WithMeterProvider(provider), metricsotel.WithClock(clock.Now))
	var all sync.WaitGroup
	all.Add(3)
	failed := status.Error(codes.Unavailable, "no")
	attempt := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
		all.Done()
		all.Wait()
		return failed
	})
	hedges := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		var running sync.WaitGroup
		for range 3 {
			copied := call.Attempt()
			running.Go(func() { _ = next(ctx, copied) })
		}
		running.Wait()
		clock.Advance(2 * time.Second)
		all.Add(1)
		return next(ctx, call)
	})
	if err := called(chainOf(t, m.Calls(), hedges, m.Attempts(), attempt), hauberktest.Conn{})("/s/m"); err == nil {
		t.Error("the call was answered")
	}
	const method = "method=other target=other"
	checkPoints(t, provider, map[string]map[string]string{
		metricsotel.ClientAttemptStarted:  {method: "4"},
		metricsotel.ClientAttemptDuration: {"method=other status=UNAVAILABLE target=other": "4"},
		metricsotel.ClientCallDuration:    {"method=other status=UNAVAILABLE target=other": "1"},
		metricsotel.ClientCallHedges:      {method: "1 sum 2 in [1]"},
		metricsotel.ClientCallRetries:     {method: "1 sum 1 in [0]"},
		metricsotel.ClientCallRetryDelay:  {method: "1"},
	})
	if delay := provider.collect(t)[metricsotel.ClientCallRetryDelay].sum; delay != 2 {
		t.Errorf("delay %v s, want 2", delay)
	}
}

// The instruments of A96 have the units, descriptions and buckets of that gRFC. grpc-go does not record
// them.
func TestRetryInstruments(t *testing.T) {
	provider := newRecorder(t)
	m := metricsotel.New(metricsotel.Config{Enable: ofRetries}, metricsotel.WithMeterProvider(provider))
	failed := status.Error(codes.Unavailable, "no")
	meet := new(sync.WaitGroup)
	meet.Add(2)
	attempt := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
		meet.Done()
		meet.Wait()
		return failed
	})
	chain := chainOf(t, m.Calls(), retryAfter(2, func() { meet.Add(2) }), hedge, m.Attempts(), attempt)
	_ = called(chain, hauberktest.Conn{})("/s/m")
	all := provider.collect(t)
	numbers, latency := []float64{1, 2, 3, 4, 5}, all[metricsotel.ClientAttemptDuration].bounds
	for _, want := range []instrument{
		{
			name: metricsotel.ClientCallRetries, unit: "{retry}", bounds: numbers,
			description: "Number of retries during the client call. If there were no retries, 0 is not reported.",
		},
		{
			name: metricsotel.ClientCallHedges, unit: "{hedge}", bounds: numbers,
			description: "Number of hedges during the client call. If there were no hedges, 0 is not reported.",
		},
		{
			name: metricsotel.ClientCallRetryDelay, unit: "s", bounds: latency,
			description: "Total time of delay while there is no active attempt during the client call.",
		},
	} {
		got := all[want.name]
		if got.unit != want.unit || got.description != want.description || !slices.Equal(got.bounds, want.bounds) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}
