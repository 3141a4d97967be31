package ratelimit_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// A caller that invents keys fills the configured memory, and no more.
func TestMaxKeys(t *testing.T) {
	const most = 1000
	limiter := ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Hour, By: byContext, MaxKeys: most})
	serve := server(t, limiter)
	for i := range 100 * most {
		wantCode(t, serve(context.WithValue(t.Context(), keyed{}, fmt.Sprint(i))), codes.OK)
		wantCode(t, serve(from(text(fmt.Sprint(i)))), codes.OK)
	}
	if keys, evicted := limiter.Keys(), limiter.Evicted(); keys != 2*most || evicted != 2*99*most {
		t.Errorf("%d keys, %d evicted; want %d and %d", keys, evicted, 2*most, 2*99*most)
	}
}

// A flood of peers without a key displaces no key.
func TestFloodOfPeers(t *testing.T) {
	serve := server(t, ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Hour, By: byContext, MaxKeys: 100}))
	alice := context.WithValue(t.Context(), keyed{}, "alice")
	wantCode(t, serve(alice), codes.OK)
	for i := range 1000 {
		wantCode(t, serve(from(text(fmt.Sprint(i)))), codes.OK)
	}
	wantCode(t, serve(alice), codes.ResourceExhausted)
}

// Long keys are distinguished and not kept: 1000 of 64 KiB cost far less than 64 MB.
func TestLongKeys(t *testing.T) {
	serve := server(t, ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Hour, By: byContext}))
	call := func(i int) error {
		key := strings.Repeat("k", 64<<10-4) + fmt.Sprintf("%04d", i)
		return serve(context.WithValue(t.Context(), keyed{}, key))
	}
	before := heap()
	for i := range 1000 {
		wantCode(t, call(i), codes.OK)
	}
	if grown := heap() - before; grown > 4<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	wantCode(t, call(0), codes.ResourceExhausted)
	wantCode(t, call(999), codes.ResourceExhausted)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Keys whose quota is whole again are forgotten while others come.
func TestIdleKeys(t *testing.T) {
	for _, a := range []ratelimit.Algorithm{ratelimit.GCRA, ratelimit.SlidingWindow, ratelimit.FixedWindow} {
		clock := hauberktest.NewClock()
		limiter := ratelimit.New(with(by(oneAMinute, byContext), a), ratelimit.WithClock(clock.Now))
		serve := server(t, limiter)
		call := func(i int) error { return serve(context.WithValue(t.Context(), keyed{}, fmt.Sprint(i))) }
		for i := range 1000 {
			wantCode(t, call(i), codes.OK)
		}
		clock.Advance(2 * time.Minute)
		for i := range 4000 {
			wantCode(t, call(10_000+i), codes.OK)
		}
		if keys := limiter.Keys(); keys >= 4100 || limiter.Evicted() != 0 {
			t.Errorf("%s: %d keys are kept, %d were evicted; want about 4000 and none", a, keys, limiter.Evicted())
		}
	}
}

// No state is forgotten while it still counts: neither one that was used again
// within the millisecond, nor one that a goroutine with an old reading of the clock
// used last.
func TestNothingForgottenTooEarly(t *testing.T) {
	const second, micro = time.Second, time.Microsecond
	for _, c := range []struct {
		name   string
		config ratelimit.Config
		calls  []time.Duration
		passed int
	}{
		{
			"used again at once",
			ratelimit.Config{Limit: 2, Per: time.Minute, Algorithm: ratelimit.SlidingWindow},
			[]time.Duration{0, 500 * micro, 60*second + 200*micro, 60*second + 200*micro},
			3,
		},
		{
			"an old reading",
			ratelimit.Config{Limit: 1, Per: time.Minute},
			[]time.Duration{20 * second, 11 * second, 75 * second},
			1,
		},
		{
			"a burst that takes long to come back",
			ratelimit.Config{Limit: 1, Per: time.Minute, Burst: 3},
			[]time.Duration{0, 0, 0, 72 * second, 72 * second},
			4,
		},
	} {
		if got := len(offer(t, c.config, c.calls)); got != c.passed {
			t.Errorf("%s: %d calls passed, want %d", c.name, got, c.passed)
		}
	}
}
