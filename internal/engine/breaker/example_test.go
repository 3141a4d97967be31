package breaker_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/breaker"
)

func Example() {
	b := breaker.New(breaker.Config{
		FailureThreshold: 2,
		OpenFor:          time.Minute,
		HalfOpenMaxCalls: 1,
		OnChange: func(c breaker.Change) {
			fmt.Printf("%v: %v to %v after %d failures\n", c.At, c.From, c.To, c.Failures)
		},
	})
	call := func(now time.Duration, outcome breaker.Outcome) {
		permit, err := b.Allow(now)
		if rejected, ok := errors.AsType[*breaker.RejectedError](err); ok {
			fmt.Printf("%v: %v; retry after %v\n", now, err, rejected.RetryAfter)
			return
		}
		permit.Done(now, outcome) // when the call has ended
	}
	call(0, breaker.Failure)
	call(time.Second, breaker.Failure)
	call(2*time.Second, breaker.Success)
	call(61*time.Second, breaker.Success)
	// Output:
	// 1s: closed to open after 2 failures
	// 2s: circuit breaker is open; retry after 59s
	// 1m1s: open to half_open after 2 failures
	// 1m1s: half_open to closed after 0 failures
}
