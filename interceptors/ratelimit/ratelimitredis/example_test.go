package ratelimitredis_test

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitredis"
)

// Two servers share a limit of three calls.
func Example() {
	redis, err := miniredis.Run() // in place of a server
	if err != nil {
		fmt.Println(err)
		return
	}
	defer redis.Close()
	node := func() (serve func(context.Context) error, stop func()) {
		store := ratelimitredis.New(ratelimitredis.Config{Name: "shop", Addresses: []string{redis.Addr()}})
		limits := ratelimit.New(ratelimit.Config{
			Limit: 3, Per: time.Hour, By: callkey.Global(), Shared: ratelimit.Shared{Timeout: 10 * time.Second},
		}, ratelimit.WithStore(store))
		return hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(limits))), func() { _ = store.Close() }
	}
	first, stopFirst := node()
	defer stopFirst()
	second, stopSecond := node()
	defer stopSecond()
	for range 2 {
		fmt.Println(first(context.Background()))
		fmt.Println(second(context.Background()))
	}
	// Output:
	// <nil>
	// <nil>
	// <nil>
	// rpc error: code = ResourceExhausted desc = Rate limit exceeded
}
