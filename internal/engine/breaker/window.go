package breaker

import (
	"math"
	"sync/atomic"
	"time"
)

// Counts are the calls in a window.
type Counts struct {
	Calls    int // that have ended with a Success or a Failure
	Failures int
	Slow     int // took SlowAfter or longer
}

// bucketCount is how many buckets a time-based window has.
const bucketCount = 10

// window holds the outcomes of the latest calls of a closed breaker, or of those in the latest
// time. The breaker's lock guards it, except until.
//
// A time-based window is a ring of buckets. Outcomes count in the newest one, also those that
// come late.
type window struct {
	config Window
	until  atomic.Int64 // the end of the newest bucket, as time.Duration; the greatest without buckets
	counts Counts

	// time-based
	buckets [bucketCount]Counts
	width   time.Duration
	newest  int64 // the number of the newest bucket, from that of the time 0

	// count-based: bits of each call
	failed, slow  []uint64
	next, entered int
}

// newWindow returns the window of a configuration, or nil if it has none.
func newWindow(c Window) *window {
	if !c.isSet() {
		return nil
	}
	w := &window{config: c}
	if c.Calls > 0 {
		words := (min(c.Calls, MaxWindowCalls) + 63) / 64
		w.config.Calls = min(c.Calls, MaxWindowCalls)
		w.failed, w.slow = make([]uint64, words), make([]uint64, words)
	} else {
		w.width = max(c.Time/bucketCount, 1)
	}
	w.clear()
	return w
}

// clear removes all calls.
func (w *window) clear() {
	w.counts = Counts{}
	w.next, w.entered = 0, 0
	clear(w.failed)
	clear(w.slow)
	w.buckets = [bucketCount]Counts{}
	w.until.Store(math.MinInt64)
	if w.width == 0 {
		w.until.Store(math.MaxInt64)
	}
}

// advance makes the bucket of a time the newest. If the clock was set back, the window is cleared.
func (w *window) advance(now time.Duration) {
	until := time.Duration(w.until.Load())
	if w.width == 0 {
		return
	}
	number := floor(int64(now), int64(w.width))
	switch steps := number - w.newest; {
	case until == math.MinInt64: // empty
	case now < until && until-now-w.width > setBack:
		w.clear()
	case steps <= 0:
		return // late
	case steps >= bucketCount:
		w.clear()
	default:
		for i := w.newest + 1; i <= number; i++ {
			oldest := w.bucket(i)
			w.counts = w.counts.minus(*oldest)
			*oldest = Counts{}
		}
	}
	w.newest = number
	if end := (number + 1) * int64(w.width); end > int64(now) { // otherwise it overflows
		w.until.Store(end)
	} else {
		w.until.Store(math.MaxInt64)
	}
}

// floor returns a/b, rounded towards negative infinity. b is positive.
func floor(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func (w *window) bucket(number int64) *Counts {
	return &w.buckets[(number%bucketCount+bucketCount)%bucketCount]
}

// succeeded counts n calls that were neither failures nor slow.
func (w *window) succeeded(n int) {
	if w.width > 0 {
		w.add(Counts{Calls: n})
		return
	}
	for range min(n, w.config.Calls) {
		w.enter(false, false)
	}
}

// count counts a call.
func (w *window) count(failed, slow bool) {
	if w.width == 0 {
		w.enter(failed, slow)
		return
	}
	c := Counts{Calls: 1}
	if failed {
		c.Failures = 1
	}
	if slow {
		c.Slow = 1
	}
	w.add(c)
}

// add adds calls to the newest bucket.
func (w *window) add(c Counts) {
	b := w.bucket(w.newest)
	*b = b.plus(c)
	w.counts = w.counts.plus(c)
}

// enter replaces the oldest call of a full count-based window.
func (w *window) enter(failed, slow bool) {
	word, bit := w.next/64, uint64(1)<<(w.next%64)
	w.counts.Failures += replace(&w.failed[word], bit, failed)
	w.counts.Slow += replace(&w.slow[word], bit, slow)
	w.entered = min(w.entered+1, w.config.Calls)
	w.counts.Calls = w.entered
	w.next++
	if w.next == w.config.Calls {
		w.next = 0
	}
}

// replace sets or clears a bit, and returns by how much the number of bits grows.
func replace(in *uint64, bit uint64, set bool) int {
	grows := 0
	if *in&bit != 0 {
		grows--
	}
	if *in &^= bit; set {
		*in |= bit
		grows++
	}
	return grows
}

// trips reports whether the calls in the window open the breaker.
func (w *window) trips() bool {
	all := w.counts.Calls
	return all >= w.config.MinCalls && (reaches(w.counts.Failures, all, w.config.FailureRatio) ||
		reaches(w.counts.Slow, all, w.config.SlowRatio))
}

// reaches reports whether n of all calls are a ratio of them. The quotient is rounded as the ratio
// was: 3 of 30 reach 0.1.
func reaches(n, all int, ratio float64) bool {
	return ratio > 0 && n > 0 && float64(n)/float64(all) >= ratio
}

func (c Counts) plus(d Counts) Counts {
	return Counts{c.Calls + d.Calls, c.Failures + d.Failures, c.Slow + d.Slow}
}

func (c Counts) minus(d Counts) Counts {
	return Counts{c.Calls - d.Calls, c.Failures - d.Failures, c.Slow - d.Slow}
}
