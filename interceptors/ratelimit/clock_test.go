package ratelimit_test

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// A stopped clock returns no permits; one that is set back neither
// gives a caller a fresh quota nor keeps them waiting for the time that was lost.
func TestClockFaults(t *testing.T) {
	for _, a := range []ratelimit.Algorithm{ratelimit.GCRA, ratelimit.SlidingWindow, ratelimit.FixedWindow} {
		t.Run(a.String(), func(t *testing.T) {
			clock := hauberktest.NewClock()
			limit := ratelimit.Config{Limit: 2, Per: time.Minute, Algorithm: a}
			serve := server(t, ratelimit.New(limit, ratelimit.WithClock(clock.Now)))
			want := func(codes ...codes.Code) {
				t.Helper()
				for _, code := range codes {
					wantCode(t, serve(t.Context()), code)
				}
			}
			want(codes.OK, codes.OK, codes.ResourceExhausted, codes.ResourceExhausted)
			clock.Advance(-time.Second)
			want(codes.ResourceExhausted)
			clock.Advance(-time.Hour)
			want(codes.ResourceExhausted, codes.ResourceExhausted)
			clock.Advance(70 * time.Second)
			want(codes.OK, codes.OK, codes.ResourceExhausted)
			clock.Advance(24 * time.Hour)
			want(codes.OK, codes.OK, codes.ResourceExhausted)
		})
	}
}

// Any time can be the clock's first, also one that is not in Unix nanoseconds.
func TestFarClocks(t *testing.T) {
	for _, begin := range []time.Time{
		{}, time.Unix(0, 0), time.Unix(-1, 999), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		for _, a := range []ratelimit.Algorithm{ratelimit.GCRA, ratelimit.SlidingWindow, ratelimit.FixedWindow} {
			now := begin
			serve := server(t, ratelimit.New(with(oneAMinute, a), ratelimit.WithClock(func() time.Time { return now })))
			wantCode(t, serve(t.Context()), codes.OK)
			wantCode(t, serve(t.Context()), codes.ResourceExhausted)
			now = now.Add(time.Minute)
			wantCode(t, serve(t.Context()), codes.OK)
		}
	}
}

// Fixed windows are those of the wall clock.
func TestFixedWindowsFollowTheWallClock(t *testing.T) {
	for _, c := range []struct {
		begin time.Time
		per   time.Duration
		wait  time.Duration
	}{
		{time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC), time.Minute, 53*time.Second - 8},
		{time.Date(2026, 3, 4, 5, 6, 0, 0, time.UTC), time.Hour, 54 * time.Minute},
		{time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC), 24 * time.Hour, 19 * time.Hour},
		{time.Date(1969, 12, 31, 23, 59, 50, 0, time.UTC), time.Minute, 10 * time.Second},
	} {
		limit := ratelimit.Config{Limit: 1, Per: c.per, Algorithm: ratelimit.FixedWindow}
		serve := server(t, ratelimit.New(limit, ratelimit.WithClock(func() time.Time { return c.begin })))
		wantCode(t, serve(t.Context()), codes.OK)
		if got := retryAfter(serve(t.Context())); got != c.wait {
			t.Errorf("at %v, per %v: retry after %v, want %v", c.begin, c.per, got, c.wait)
		}
	}
}

// Without WithClock the time is that of the process.
func TestDefaultClock(t *testing.T) {
	for _, a := range []ratelimit.Algorithm{ratelimit.GCRA, ratelimit.SlidingWindow, ratelimit.FixedWindow} {
		synctest.Test(t, func(t *testing.T) { // starts at midnight UTC
			serve := server(t, ratelimit.New(with(oneAMinute, a)))
			for range 3 {
				wantCode(t, serve(t.Context()), codes.OK)
				err := serve(t.Context())
				if status.Code(err) != codes.ResourceExhausted || retryAfter(err) != time.Minute {
					t.Errorf("%s: %v, retry after %v", a, err, retryAfter(err))
				}
				<-time.After(time.Minute) // of the bubble
			}
		})
	}
}
