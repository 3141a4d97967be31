package quota

import "time"

// Clock returns a clock that shows the time since 1970 UTC. It uses now, or the monotonic
// clock if now is nil. Only differences between its readings, and whole periods in them, are
// used: it may wrap.
func Clock(now func() time.Time) func() time.Duration {
	if now == nil {
		began := time.Now()
		offset := time.Duration(began.UnixNano())
		return func() time.Duration { return offset + time.Since(began) } // cheaper than now().Sub
	}
	began := now()
	offset := time.Duration(began.UnixNano())
	return func() time.Duration { return offset + now().Sub(began) }
}
