package h2

import "time"

// floods counts the frames that cost more than they do. Each kind has a bucket of tokens.
// The limits are far above what gRPC's clients and servers do.
type floods struct {
	settings, resets, empty bucket
	pings                   int // since this side sent DATA or HEADERS
}

// maxPings is the number of PINGs without a frame of a call in between. Estimators of
// bandwidth send a PING for each round trip while data flows.
const maxPings = 1000

func newFloods(now time.Time) floods {
	return floods{
		settings: bucket{burst: 100, rate: 10, last: now},
		resets:   bucket{burst: 20_000, rate: 2000, last: now},
		empty:    bucket{burst: 5000, rate: 500, last: now},
	}
}

// bucket limits events to burst, and then to rate per second.
type bucket struct {
	burst, rate float64
	used        float64
	last        time.Time
}

// take reports whether another event is within the limit.
func (b *bucket) take(now time.Time) bool {
	b.used++
	if b.used <= b.burst/2 {
		return true // the clock matters only near the limit
	}
	b.used = max(b.used-b.rate*now.Sub(b.last).Seconds(), 1)
	b.last = now
	return b.used <= b.burst
}
