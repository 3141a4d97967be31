// Package clock provides clocks for measuring durations.
package clock

import "time"

// Elapsed returns a function that returns the time since Elapsed was called. It uses now as
// the clock, or the monotonic clock if now is nil. Reading the monotonic clock costs half as
// much as time.Now. The function is safe for concurrent use if now is.
func Elapsed(now func() time.Time) func() time.Duration {
	if now == nil {
		epoch := time.Now()
		return func() time.Duration { return time.Since(epoch) }
	}
	epoch := now()
	return func() time.Duration { return now().Sub(epoch) }
}
