package deadline

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/engine/quantile"
)

// maxMeasured bounds the methods whose durations are measured: 7 KiB each.
const maxMeasured = 1024

// minSamples is how many durations a quantile is made of at least.
const minSamples = 20

// typical is how long the calls of a method usually take.
type typical struct {
	q      float64
	window time.Duration
	value  atomic.Int64 // of the last complete window; 0 if it is not known
	ends   atomic.Int64 // of the current window
	busy   sync.Mutex   // held to begin the next window
	now    atomic.Pointer[quantile.Histogram]
}

func newTypical(q float64, window time.Duration) *typical {
	t := &typical{q: q, window: window}
	t.ends.Store(math.MinInt64)
	t.now.Store(new(quantile.Histogram))
	return t
}

// usual returns how long calls usually take, or 0 if that is not known.
func (t *typical) usual(now time.Duration) time.Duration {
	if int64(now) >= t.ends.Load() && t.busy.TryLock() {
		t.turn(now)
		t.busy.Unlock()
	}
	return time.Duration(t.value.Load())
}

// turn begins a window. The value is that of the last one, unless it ended long ago.
//
//go:noinline // it has a snapshot on its stack
func (t *typical) turn(now time.Duration) {
	ends := t.ends.Load()
	if int64(now) < ends { // another goroutine has been here
		return
	}
	var value time.Duration
	if ends != math.MinInt64 && now-time.Duration(ends) < t.window {
		if s := t.now.Load().Snapshot(); s.Count() >= minSamples {
			value = s.Quantile(t.q)
		}
	}
	t.now.Store(new(quantile.Histogram))
	t.value.Store(int64(value))
	t.ends.Store(int64(now + t.window))
}

// measure runs the inner part of a call, and records its duration if it ends with OK.
//
//go:noinline // its variables would be on the stack of calls that are not measured
func (t *typical) measure(
	ctx context.Context, call *hauberk.Call, next hauberk.Next, now func() time.Duration,
) error {
	begin := now()
	t.usual(begin) // calls without a deadline begin windows, too
	err := next(ctx, call)
	if err == nil {
		t.now.Load().Record(now() - begin)
	}
	return err
}
