package logging

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// sampler counts the calls of a method.
type sampler struct {
	counts  [4]counter // by level
	omitted atomic.Int64
}

// admit counts a call and reports whether it is logged. at is the time since a fixed
// point; an earlier time counts as that point.
func (s *sampler) admit(by *Sampling, level slog.Level, at time.Duration) bool {
	n := s.counts[class(level)].next(uint32(max(at, 0) / time.Second))
	first := uint32(min(by.First, 1<<31))
	if n <= first {
		return true
	}
	return by.OneIn > 0 && (uint64(n)-uint64(first))%uint64(by.OneIn) == 0
}

// class returns the index of a level: DEBUG and below, INFO, WARN, ERROR and above.
func class(level slog.Level) int {
	switch {
	case level < slog.LevelInfo:
		return 0
	case level < slog.LevelWarn:
		return 1
	case level < slog.LevelError:
		return 2
	default:
		return 3
	}
}

// counter counts within a second. The upper half of state is the second, the lower half
// the count. An earlier second counts as the current one: clocks may be set back, and
// concurrent calls arrive out of order.
type counter struct{ state atomic.Uint64 }

func (c *counter) next(second uint32) (n uint32) {
	for {
		was := c.state.Load()
		then, count := uint32(was>>32), uint32(was)
		switch {
		case then < second:
			then, count = second, 1
		case count < 1<<32-1:
			count++
		}
		if c.state.CompareAndSwap(was, uint64(then)<<32|uint64(count)) {
			return count
		}
	}
}
