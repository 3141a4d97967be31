package retry

import (
	"time"

	"github.com/hauberk-rpc/hauberk/internal/pushback"
)

// count returns how many waits have grown so far, the next one included: a pushback
// restarts the growth.
func count(a pushback.Asked, waits int) int {
	if a.Has {
		return 0
	}
	return waits + 1
}

// delay returns the wait before the next attempt.
func (r *Interceptor) delay(a pushback.Asked, waits int) time.Duration {
	if a.Has {
		return a.Longest()
	}
	delay := r.backoff.Delay(waits)
	switch {
	case a.Least <= delay:
		return delay
	case r.config.FullJitter:
		return a.Least + delay
	default:
		return a.Least + time.Duration(r.config.Jitter*r.random()*float64(a.Least))
	}
}
