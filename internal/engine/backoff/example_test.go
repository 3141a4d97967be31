package backoff_test

import (
	"fmt"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/backoff"
)

func Example() {
	b, err := backoff.New(backoff.Config{Initial: 100 * time.Millisecond, Max: time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	for attempts := 1; attempts <= 5; attempts++ {
		fmt.Println(b.Delay(attempts))
	}
	// Output:
	// 100ms
	// 200ms
	// 400ms
	// 800ms
	// 1s
}

func Example_jitter() {
	highest := func() float64 { return 1 } // instead of a random number
	b, err := backoff.New(backoff.Config{
		Initial: 100 * time.Millisecond, Max: time.Second, Jitter: 0.2, Random: highest, // as gRFC A6
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(b.Delay(1), b.Delay(1_000_000_000))
	// Output:
	// 120ms 1.2s
}
