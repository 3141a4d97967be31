package retry

import (
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"github.com/hauberk-rpc/hauberk"
)

// pushbackKey is the trailer's key of gRFC A6: the wait before the next attempt in
// milliseconds, or a negative number for no further attempt.
const pushbackKey = "grpc-retry-pushback-ms"

// asked is what the server of a failed attempt asked for.
type asked struct {
	pushback    time.Duration // by pushbackKey
	hasPushback bool
	least       time.Duration // by google.rpc.RetryInfo; 0 if there is none
}

// serverDelay returns what the server asked for with an attempt that failed with err.
// final reports that it asked for no further attempt.
func serverDelay(call *hauberk.Call, err error) (a asked, final bool) {
	if values := call.Trailer()[pushbackKey]; len(values) > 0 {
		ms, bad := strconv.ParseInt(values[0], 10, 32)
		if len(values) > 1 || bad != nil || ms < 0 {
			return asked{}, true
		}
		a.pushback, a.hasPushback = time.Duration(ms)*time.Millisecond, true
	}
	for _, detail := range hauberk.StatusOf(err).Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok && info.GetRetryDelay().CheckValid() == nil {
			a.least = max(a.least, info.GetRetryDelay().AsDuration())
		}
	}
	return a, false
}

// longest returns the longest wait that the server asked for.
func (a asked) longest() time.Duration { return max(a.pushback, a.least) }

// count returns how many waits have grown so far, the next one included: a pushback
// restarts the growth.
func (a asked) count(waits int) int {
	if a.hasPushback {
		return 0
	}
	return waits + 1
}

// delay returns the wait before the next attempt.
func (r *Interceptor) delay(a asked, waits int) time.Duration {
	if a.hasPushback {
		return a.longest()
	}
	delay := r.backoff.Delay(waits)
	switch {
	case a.least <= delay:
		return delay
	case r.config.FullJitter:
		return a.least + delay
	default:
		return a.least + time.Duration(r.config.Jitter*r.random()*float64(a.least))
	}
}
