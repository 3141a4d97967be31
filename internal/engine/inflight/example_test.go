package inflight_test

import (
	"fmt"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/inflight"
)

func Example() {
	l := inflight.New(inflight.Config{Limit: 1, MaxWaiting: 1, MaxWait: time.Second})
	var first, second inflight.Slot
	fmt.Println(l.Try(0, &inflight.Request{}, &first))
	waits := l.Enqueue(0, &inflight.Request{}, func() { fmt.Println("a slot is free") })
	fmt.Println(l.Enqueue(0, &inflight.Request{}, nil).Result(&second))
	l.Release(time.Millisecond, &first, true)
	fmt.Println(waits.Result(&second))
	// Output:
	// true
	// true too many calls in flight
	// a slot is free
	// true <nil>
}
