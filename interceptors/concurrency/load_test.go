package concurrency_test

import (
	"math"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
)

// Calls are rejected from the high mark on until the load is below the low one.
func TestLoad(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var load atomic.Int64
		clock := hauberktest.NewClock()
		x := concurrency.New(concurrency.Config{Load: &concurrency.Load{High: 90, Low: 70, Every: time.Second}},
			concurrency.WithProbe(func() float64 { return float64(load.Load()) }), concurrency.WithClock(clock.Now))
		env := c.Start(t, x)
		for _, step := range []struct {
			load int64
			want codes.Code
		}{
			{89, codes.OK},
			{90, codes.Unavailable},
			{80, codes.Unavailable},
			{70, codes.Unavailable},
			{69, codes.OK},
			{80, codes.OK},
			{1000, codes.Unavailable},
			{0, codes.OK},
		} {
			load.Store(step.load)
			clock.Advance(time.Second)
			err := env.Call(t.Context()).Err
			wantCode(t, err, step.want)
			if err != nil {
				wantRejected(t, err, codes.Unavailable, concurrency.ReasonLoad)
				if retryAfter(err) != concurrency.DefaultRetryAfter || quotaOf(err) != "" {
					t.Errorf("retry after %v, quota of %q", retryAfter(err), quotaOf(err))
				}
			}
			if s := x.Snapshot(); s.Load != float64(step.load) || s.Shedding != (err != nil) {
				t.Errorf("%+v", s)
			}
		}
		if s := x.Snapshot(); s.Shed != 4 {
			t.Errorf("%+v", s)
		}
	})
}

// The load is measured once in each Every. A probe that panics or returns no number changes nothing.
func TestProbe(t *testing.T) {
	var probes int
	clock, load := hauberktest.NewClock(), 1.0
	x := concurrency.New(concurrency.Config{Load: &concurrency.Load{High: 1, Low: 1, Every: time.Second}},
		concurrency.WithClock(clock.Now), concurrency.WithProbe(func() float64 {
			probes++
			if math.IsInf(load, -1) {
				panic("on purpose")
			}
			return load
		}))
	call := serve(t, nil, x)
	for range 10 {
		wantCode(t, call(t.Context()), codes.Unavailable)
	}
	clock.Advance(time.Second)
	load = math.NaN()
	wantCode(t, call(t.Context()), codes.Unavailable)
	if probes != 2 {
		t.Errorf("%d probes, want 2", probes)
	}
	clock.Advance(time.Second)
	load = math.Inf(-1)
	func() {
		defer func() { _ = recover() }()
		_ = call(t.Context())
	}()
	load = 0.5
	wantCode(t, call(t.Context()), codes.OK)
	if probes != 4 {
		t.Errorf("%d probes, want 4", probes)
	}
	clock.Advance(-time.Hour) // set back
	load = 1
	wantCode(t, call(t.Context()), codes.Unavailable)
}

// The default load is the memory of the process, as a share of GOMEMLIMIT or MemoryLimit.
func TestMemory(t *testing.T) {
	x := concurrency.New(concurrency.Config{Load: &concurrency.Load{}})
	if _, err := hauberk.New(x); err == nil || !strings.Contains(err.Error(), "GOMEMLIMIT is not set") {
		t.Errorf("without a limit: %v", err)
	}
	tiny := concurrency.New(concurrency.Config{Load: &concurrency.Load{MemoryLimit: 1}})
	wantRejected(t, serve(t, nil, tiny)(t.Context()), codes.Unavailable, concurrency.ReasonLoad)
	if s := tiny.Snapshot(); s.Load < 100_000 || math.IsInf(s.Load, 0) {
		t.Errorf("%+v", s)
	}
	before := debug.SetMemoryLimit(1 << 45)
	defer debug.SetMemoryLimit(before)
	huge := concurrency.New(concurrency.Config{Load: &concurrency.Load{}})
	wantCode(t, serve(t, nil, huge)(t.Context()), codes.OK)
	if s := huge.Snapshot(); s.Load <= 0 || s.Load > 0.1 {
		t.Errorf("%+v", s)
	}
}

// A gate and a limit in one interceptor: the gate is first.
func TestLoadAndLimit(t *testing.T) {
	load := 0.0
	x := concurrency.New(concurrency.Config{Limit: 1, Load: &concurrency.Load{}}, concurrency.WithProbe(func() float64 { return load }))
	call := serve(t, nil, x)
	wantCode(t, call(t.Context()), codes.OK)
	if s := x.Snapshot(); s.Admitted != 1 || s.Running != 0 {
		t.Errorf("%+v", s)
	}
}
