package gcra_test

import (
	"fmt"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/gcra"
)

func Example() {
	limit, err := gcra.New(100, time.Minute, 2) // one permit each 600 ms, two at once
	if err != nil {
		fmt.Println(err)
		return
	}
	var alice gcra.Bucket
	for _, now := range []time.Duration{0, 0, 100 * time.Millisecond, 600 * time.Millisecond} {
		d := alice.Allow(limit, now, 1)
		fmt.Printf("at %v: ok %v, remaining %d, retry after %v\n", now, d.OK, d.Remaining, d.RetryAfter)
	}
	// Output:
	// at 0s: ok true, remaining 1, retry after 0s
	// at 0s: ok true, remaining 0, retry after 0s
	// at 100ms: ok false, remaining 0, retry after 500ms
	// at 600ms: ok true, remaining 0, retry after 0s
}

func ExampleBucket_Allow_bytes() {
	limit, err := gcra.New(10e6, time.Second, 1e6) // 10 MB a second, 1 MB at once
	if err != nil {
		fmt.Println(err)
		return
	}
	var tenant gcra.Bucket
	fmt.Println(tenant.Allow(limit, 0, 1e6).OK)                         // a message of 1 MB
	fmt.Println(tenant.Allow(limit, 0, 500e3).RetryAfter)               // of 500 kB
	fmt.Println(tenant.Allow(limit, 0, 1e6+1).RetryAfter == gcra.Never) // greater than the burst
	fmt.Println(tenant.Allow(limit, 30*time.Millisecond, 0).Remaining)  // taking nothing
	// Output:
	// true
	// 50ms
	// true
	// 300000
}
