package retrybudget

import (
	"sync"
	"sync/atomic"
	"time"
)

// parts is how many parts of an extra attempt the ratio counts with.
const parts int64 = 1_000_000

// steps is how many steps a window has.
const steps = 10

// every is how many calls there are to each reading of the clock. Reading it costs several times
// as much as counting a call. It must be a power of 2.
const every = 16

// ratio compares extra attempts with calls in a sliding window of steps.
//
// A call only adds to made. What is rare holds mu: one call of 16, and an extra attempt, read
// the clock and add the calls since the last reading to the current step.
type ratio struct {
	elapsed func() time.Duration // nil without a ratio
	share   int64                // parts of an extra attempt for each call
	reserve int64                // in parts
	most    int64                // parts of a failure for each call; 0 for no bound
	width   time.Duration        // of a step

	made atomic.Int64 // all calls

	mu      sync.Mutex // guards the fields below
	window  [steps]step
	sum     step  // of the window
	number  int64 // of the current step since the beginning
	counted int64 // how many of made are in a step and in the balance
	balance int64 // in parts
}

// step has what was counted in one step of the window.
type step struct{ calls, extra, failures int64 }

// minFailures is how many failures are always tolerated: the extra attempts of a client with few calls add
// little load, and those that its reserve allows can all fail.
const minFailures = 20

func (r *ratio) init(c Config, elapsed func() time.Duration) {
	r.elapsed, r.width = elapsed, c.Window/steps
	r.share, r.reserve = inParts(c.Ratio, parts), int64(c.Reserve)*parts
	r.most = inParts(c.FailureRatio, parts)
	r.balance = r.reserve
}

func (r *ratio) call() {
	if r.made.Add(1)%every == 0 {
		r.read()
	}
}

//go:noinline // rare
func (r *ratio) read() {
	now := r.elapsed()
	r.mu.Lock()
	r.advance(now)
	r.mu.Unlock()
}

func (r *ratio) take() bool {
	now := r.elapsed()
	r.mu.Lock()
	bound := r.advance(now)
	ok := r.balance >= parts && (r.sum.extra+1)*parts <= bound && !r.fails()
	if ok {
		r.balance -= parts
		r.window[r.number%steps].extra++
		r.sum.extra++
	}
	r.mu.Unlock()
	return ok
}

// fail counts a failure.
func (r *ratio) fail() {
	now := r.elapsed()
	r.mu.Lock()
	r.advance(now)
	r.window[r.number%steps].failures++
	r.mu.Unlock()
}

// recent returns how many failures and calls there are in the current step and the one before: enough to
// know that most calls fail, and few enough to notice it soon. mu is held.
func (r *ratio) recent() (failures, calls int64) {
	last, before := &r.window[r.number%steps], &r.window[(r.number+steps-1)%steps]
	return last.failures + before.failures, last.calls + before.calls
}

// fails reports whether there are too many failures. mu is held.
func (r *ratio) fails() bool {
	failures, calls := r.recent()
	return r.most > 0 && failures > minFailures && failures*parts > r.most*calls
}

// giveBack takes back the last take. If that was in an earlier step, it stays in the window.
func (r *ratio) giveBack() {
	now := r.elapsed()
	r.mu.Lock()
	r.advance(now)
	r.balance += parts
	if current := &r.window[r.number%steps]; current.extra > 0 {
		current.extra--
		r.sum.extra--
	}
	r.mu.Unlock()
}

func (r *ratio) snapshot(s *Snapshot) {
	now := r.elapsed()
	r.mu.Lock()
	defer r.mu.Unlock()
	bound := r.advance(now)
	failures, _ := r.recent()
	s.Calls, s.Extra, s.Failures = int(r.sum.calls), int(r.sum.extra), int(failures)
	if !r.fails() {
		s.Available = int(max(0, min(r.balance/parts, bound/parts-r.sum.extra)))
	}
}

// advance moves the window to now, unless that is before the current step, and counts the calls
// since it was last called. It returns how many extra attempts the window allows, in parts. mu
// is held.
func (r *ratio) advance(now time.Duration) (bound int64) {
	if number := int64(now / r.width); number > r.number {
		for n := max(r.number, number-steps) + 1; n <= number; n++ {
			left := &r.window[n%steps]
			r.sum.calls -= left.calls
			r.sum.extra -= left.extra
			*left = step{}
		}
		r.number = number
	}
	calls := r.made.Load() - r.counted
	r.counted += calls
	r.window[r.number%steps].calls += calls
	r.sum.calls += calls
	bound = max(r.reserve, r.share*r.sum.calls)
	r.balance = min(r.balance+r.share*calls, bound)
	return bound
}
