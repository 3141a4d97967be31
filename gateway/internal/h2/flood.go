package h2

import "time"

// floods counts the frames that cost more than they do. Each kind has a bucket of tokens.
// The default limits are far above what gRPC's clients and servers do.
type floods struct {
	settings, resets, empty, pings bucket // pings are those since this side sent DATA or HEADERS
}

// The numbers of PINGs without a frame of a call in between. Estimators of bandwidth send a
// PING for each round trip while data flows.
const (
	maxPings      = 1000 // without Config.MinPing
	maxEarlyPings = 3    // with it
)

func newFloods(config Config, now time.Time) floods {
	perSecond := func(rate int) bucket { return bucket{burst: 10 * float64(rate), rate: float64(rate), last: now} }
	pings := bucket{burst: maxPings, last: now}
	if config.MinPing > 0 {
		pings = bucket{burst: maxEarlyPings, rate: 1 / config.MinPing.Seconds(), last: now}
	}
	return floods{
		settings: perSecond(config.SettingsRate),
		resets:   perSecond(config.ResetRate),
		empty:    perSecond(config.EmptyRate),
		pings:    pings,
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
