package window_test

import (
	"fmt"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/window"
)

func ExampleLog() {
	limit, err := window.New(3, time.Minute)
	if err != nil {
		fmt.Println(err)
		return
	}
	var alice window.Log
	for _, now := range []time.Duration{50 * time.Second, 55 * time.Second, 55 * time.Second, 65 * time.Second, 110 * time.Second} {
		d := alice.Allow(limit, now, 1)
		fmt.Printf("at %v: ok %v, remaining %d, retry after %v\n", now, d.OK, d.Remaining, d.RetryAfter)
	}
	// Output:
	// at 50s: ok true, remaining 2, retry after 0s
	// at 55s: ok true, remaining 1, retry after 0s
	// at 55s: ok true, remaining 0, retry after 0s
	// at 1m5s: ok false, remaining 0, retry after 45s
	// at 1m50s: ok true, remaining 0, retry after 0s
}

func ExampleCounter() {
	limit, err := window.New(3, time.Minute)
	if err != nil {
		fmt.Println(err)
		return
	}
	var alice window.Counter
	fmt.Println(alice.Allow(limit, 55*time.Second, 3).OK)
	fmt.Println(alice.Allow(limit, 56*time.Second, 1).RetryAfter)
	fmt.Println(alice.Allow(limit, 60*time.Second, 3).OK) // a new window, 5 s after the first 3 permits
	// Output:
	// true
	// 4s
	// true
}
