package redisconn

import (
	"context"
	"fmt"

	"github.com/redis/rueidis"
)

// MaxRequests is how many requests of a connector run at a time: fewer than the ring of one connection has places
// (RingScaleEachConn). A request for which the ring has no place waits in the client of rueidis, even after its context
// has ended: until a server that has stopped is disconnected.
const MaxRequests = 1000

// Reserve reserves a place for a request, for one call of [Run]. It waits until fewer than [MaxRequests] run, and
// returns the error of ctx if that ends before.
func (c *Connector) Reserve(ctx context.Context) error {
	if c.TryReserve() {
		return nil
	}
	select {
	case c.requests <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TryReserve reserves a place for a request, for one call of [Run], if fewer than [MaxRequests] run.
func (c *Connector) TryReserve() bool {
	select {
	case c.requests <- struct{}{}:
		return true
	default:
		return false
	}
}

// Run returns the result of f, and frees the place that is reserved for it. A panic of f is an error.
func Run[T any](c *Connector, f func() (T, error)) (value T, err error) {
	defer func() { <-c.requests }()
	defer func() {
		if p := recover(); p != nil { // on a goroutine of a store no interceptor recovers it
			err = fmt.Errorf("the client panicked: %v", p)
		}
	}()
	return f()
}

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
	if err := c.Reserve(ctx); err != nil {
		return value, err
	}
	done := make(chan result[T], 1)
	go func() {
		value, err := Run(c, func() (T, error) { return f(context.Background(), client) })
		done <- result[T]{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return value, ctx.Err()
	}
}
