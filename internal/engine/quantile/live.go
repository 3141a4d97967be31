package quantile

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// refreshes is how often [Live] computes its quantile in each window.
const refreshes = 64

// LiveConfig configures a [Live].
type LiveConfig struct {
	// Quantile is the quantile, between 0 and 1, both excluded.
	Quantile float64
	// Window is the time after which recorded durations no longer count. They count for one
	// to two windows. It must be at least 1 ms.
	Window time.Duration
	// Least is the number of durations from which on there is a quantile. It must be at
	// least 1.
	Least int
}

// Validate returns what is wrong with a configuration, or nil.
func (c LiveConfig) Validate() error {
	switch {
	case !(c.Quantile > 0 && c.Quantile < 1): // also NaN
		return fmt.Errorf("quantile: the quantile is %v; want more than 0 and less than 1", c.Quantile)
	case c.Window < time.Millisecond:
		return fmt.Errorf("quantile: the window is %v; want at least 1ms", c.Window)
	case c.Least < 1:
		return fmt.Errorf("quantile: at least %d durations; want at least 1", c.Least)
	default:
		return nil
	}
}

// Live is a quantile of recent durations. It has one histogram for the current window and one
// for the window before. It computes the quantile at most 64 times per window, so that
// [Live.Value] usually costs a few loads. Create it with [NewLive]. It is safe for concurrent
// use.
type Live struct {
	config LiveConfig

	ends      atomic.Int64 // of the current window
	refreshes atomic.Int64 // the time of the next computation
	value     atomic.Int64 // as computed last; negative for none

	current, previous atomic.Pointer[Histogram]
	turn              sync.Mutex // of the goroutine that begins a window
}

// NewLive returns a Live without durations. It panics if config is not valid.
func NewLive(config LiveConfig) *Live {
	if err := config.Validate(); err != nil {
		panic(err)
	}
	l := &Live{config: config}
	l.value.Store(-1)
	l.ends.Store(math.MinInt64)
	l.refreshes.Store(math.MinInt64)
	return l
}

// Record counts d at the time now.
func (l *Live) Record(now, d time.Duration) {
	if int64(now) >= l.ends.Load() {
		l.begin(now)
	}
	l.current.Load().Record(d)
}

// begin begins a window, unless another goroutine has.
func (l *Live) begin(now time.Duration) {
	l.turn.Lock()
	defer l.turn.Unlock()
	ends, window := l.ends.Load(), int64(l.config.Window)
	if int64(now) < ends {
		return
	}
	previous := l.current.Load()
	if previous == nil || int64(now)-ends >= window { // nothing was recorded in the window before
		previous = nil
	}
	l.previous.Store(previous)
	l.current.Store(new(Histogram))
	l.ends.Store(int64(now) + window)
}

// Value returns the quantile at the time now, or false if there are fewer durations than
// LiveConfig.Least. It may be up to 1/64 of a window old.
func (l *Live) Value(now time.Duration) (time.Duration, bool) {
	due := l.refreshes.Load()
	if int64(now) >= due && l.refreshes.CompareAndSwap(due, int64(now+max(l.config.Window/refreshes, 1))) {
		l.refresh(now)
	}
	value := l.value.Load()
	return time.Duration(value), value >= 0
}

// refresh computes the quantile of what counts at the time now.
func (l *Live) refresh(now time.Duration) {
	current, previous := l.current.Load(), l.previous.Load()
	switch late := int64(now) - l.ends.Load(); {
	case current == nil || late >= int64(l.config.Window):
		current, previous = nil, nil
	case late >= 0:
		previous = nil
	}
	l.value.Store(int64(l.of(current, previous)))
}

// of returns the quantile of two histograms, which may be nil, or -1. It reads their buckets
// in place: a Snapshot is too large for the stack of a call.
func (l *Live) of(a, b *Histogram) time.Duration {
	count := a.total() + b.total()
	if count < uint64(l.config.Least) {
		return -1
	}
	rank := rankOf(l.config.Quantile, count)
	for i := range buckets {
		n := a.in(i) + b.in(i)
		if rank <= n {
			return value(i)
		}
		rank -= n
	}
	return Max // not reached: buckets never lose durations
}

// total returns the number of durations.
func (h *Histogram) total() (n uint64) {
	for i := range buckets {
		n += h.in(i)
	}
	return n
}

// in returns the number of durations in a bucket. A nil Histogram has none.
func (h *Histogram) in(i int) uint64 {
	if h == nil {
		return 0
	}
	return h.counts[i].Load()
}
