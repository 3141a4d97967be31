package gradient

import (
	"math"
	"slices"
	"sync"
	"time"
)

const (
	kept       = 256 // durations of a window
	minSamples = 10
	enough     = 100 // samples of a window, for any limit
	steepest   = 0.5 // factor of the limit in one window
	judged     = 0.75
	used       = 0.75 // share of the limit that must be in flight so that it grows
	drift      = 0.2  // of the baseline towards a median, per window
	backoff    = 0.9  // after overload
	found      = 0.9  // of the baseline: a probe that finds less is repeated
	overloaded = 0.05 // share of overloaded calls
)

// Limit is an adaptive limit. Make it with [New].
//
//	          median ≤ Tolerance · baseline
//	┌──────┐ ◀───────────────────────────── ┌─────────┐
//	│ free │     above, or time to probe    │ falling │ ◀─┐ a queue: the limit of the
//	└──────┘ ─────────────────────────────▶ └─────────┘ ──┘ window is the new reference
//	   ▲                                         │
//	   └─────────────────────────────────────────┘
//	     no queue: the baseline is the median, the limit that of the reference
type Limit struct {
	config Config

	mu       sync.Mutex // guards the fields below
	limit    float64
	baseline float64 // ns; 0 if it is not known
	ref      reference
	probed   time.Duration // the last probe
	probing  bool
	window
}

// reference is the limit and the median before the limit fell. limit is 0 while it has not.
type reference struct{ limit, median float64 }

// window is what is known of the calls since it started. Calls that began before since, the last
// change of the limit, do not count.
type window struct {
	started   time.Duration
	since     time.Duration
	open      bool // the times are set
	durations [kept]time.Duration
	samples   int
	overloads int
	peak      int // calls in flight
}

// New returns a limit. c must be valid.
func New(c Config) *Limit {
	c = c.WithDefaults()
	return &Limit{config: c, limit: float64(c.Initial)}
}

// Value returns the present limit.
func (l *Limit) Value() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int(l.limit)
}

// Baseline returns the duration of a call without a queue, or 0 if it is not known.
func (l *Limit) Baseline() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Duration(l.baseline)
}

// Record notes the end of a call at the time now, which began at a time, while inFlight calls
// ran, itself included. It returns the limit and whether this call has changed it.
func (l *Limit) Record(began, now time.Duration, inFlight int, o Outcome) (limit int, changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case began > now: // the clock was set back during the call
		return int(l.limit), false
	case now < l.started-l.config.Window: // before it
		l.open, l.probed = false, min(l.probed, now)
	}
	if !l.open {
		l.window = window{started: began, since: began, open: true}
		l.probed = max(l.probed, began)
	}
	l.peak = max(l.peak, inFlight)
	switch {
	case o == Ignored || began < l.since, o == AtLeast && float64(now-began) < l.baseline:
		return int(l.limit), false
	case o == Overload:
		l.overloads++
	default:
		l.durations[l.samples%kept] = max(now-began, 1)
		l.samples++
	}
	n := l.samples + l.overloads
	if n < minSamples || n < int(min(l.limit, enough)) || now-l.started < l.config.Window {
		return int(l.limit), false
	}
	before := int(l.limit)
	l.limit = min(max(l.next(now), float64(l.config.Min)), float64(l.config.Max))
	l.started, l.samples, l.overloads, l.peak = now, 0, 0, 0
	if changed = int(l.limit) != before; changed {
		l.since = now
	}
	return int(l.limit), changed
}

// next returns the limit after a window.
func (l *Limit) next(now time.Duration) float64 {
	if float64(l.overloads) >= overloaded*float64(l.samples+l.overloads) && l.overloads > 0 {
		l.ref, l.probing = reference{}, false
		return l.limit * backoff
	}
	median := l.median()
	if l.baseline == 0 {
		l.baseline = median
		l.probed = now - l.config.ProbeEvery // the next window is a probe
		return l.limit
	}
	if l.ref.limit > 0 && l.limit <= judged*l.ref.limit {
		if judgement, ok := l.judge(median); ok {
			return judgement
		}
	}
	l.lower(median)
	if float64(l.peak) < used*l.limit {
		return l.unused(median)
	}
	gradient := l.config.Tolerance * l.baseline / median
	switch {
	case gradient < 1:
		return l.fall(median, max(gradient, steepest))
	case now-l.probed >= l.config.ProbeEvery && l.limit/2 > float64(l.config.Min):
		l.probed, l.probing = now, true
		return l.fall(median, steepest)
	default:
		l.ref = reference{}
		return l.limit + math.Sqrt(l.limit)
	}
}

// fall returns a lower limit, and keeps the present one as the reference if there is none.
func (l *Limit) fall(median, factor float64) float64 {
	if l.ref.limit == 0 {
		l.ref = reference{l.limit, median}
	}
	return l.limit * factor
}

// judge compares the median with that of the reference, whose limit was higher. It returns the
// next limit if there is no queue. Otherwise the present limit is the new reference.
func (l *Limit) judge(median float64) (limit float64, ok bool) {
	ref, probing := l.ref, l.probing
	l.ref, l.probing = reference{}, false
	fell := 1 - l.limit/ref.limit
	if median < ref.median*(1-fell/2) {
		if !probing {
			l.ref = reference{l.limit, median}
		} else if median < found*l.baseline {
			l.baseline = median
			l.probed -= l.config.ProbeEvery // again: the queue may not be empty yet
		}
		return 0, false
	}
	l.baseline = median
	return ref.limit, true
}

// lower moves the baseline to a median below it.
func (l *Limit) lower(median float64) {
	switch {
	case median < l.baseline/2:
		l.baseline = median
	case median < l.baseline:
		l.baseline += (median - l.baseline) * drift
	}
}

// unused returns the limit of a window in which it was not reached. The durations are not those
// of a queue that the limit allows, so that they move the baseline.
func (l *Limit) unused(median float64) float64 {
	l.ref, l.probing = reference{}, false
	l.baseline += (median - l.baseline) * drift
	return l.limit
}

// median returns that of the durations of the window.
func (l *Limit) median() float64 {
	n := min(l.samples, kept)
	if n == 0 {
		return max(l.baseline, 1)
	}
	slices.Sort(l.durations[:n])
	return float64(l.durations[n/2])
}
