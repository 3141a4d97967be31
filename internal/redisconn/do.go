package redisconn

import (
	"context"
	"fmt"

	"github.com/redis/rueidis"
)

// maxRequests is how many requests of [Do] run at a time: fewer than the ring of one connection has places
// (RingScaleEachConn). A request for which the ring has no place waits in the client of rueidis, even after its context
// has ended: until a server that has stopped is disconnected.
const maxRequests = 1000

// result is what a request returns.
type result[T any] struct {
	value T
	err   error
}

// Do calls f with the client on another goroutine and returns its result, or the error of ctx if that ends before. The
// context of f does not end, and has no values of ctx, which would stay in memory: f runs until the server answers
// or is disconnected. A panic of f is an error.
func Do[T any](
	ctx context.Context, c *Connector, f func(ctx context.Context, client rueidis.Client) (T, error),
) (value T, err error) {
	client, err := c.Client(ctx)
	if err != nil {
		return value, err
	}
	select {
	case c.requests <- struct{}{}:
	case <-ctx.Done():
		return value, ctx.Err()
	}
	done := make(chan result[T], 1)
	go func() { //nolint:gosec // the values of ctx would keep what they belong to in memory
		var r result[T]
		defer func() {
			if p := recover(); p != nil {
				r.err = fmt.Errorf("the client panicked: %v", p)
			}
			<-c.requests
			done <- r
		}()
		r.value, r.err = f(context.Background(), client)
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return value, ctx.Err()
	}
}
