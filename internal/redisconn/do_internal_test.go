package redisconn

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
)

// TestDo: a request ends with its context, also if the server does not answer and as many wait for it as may run; later
// ones run when it answers.
func TestDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Connector{first: make(chan struct{}), requests: make(chan struct{}, MaxRequests)}
		close(c.first)
		server, started := make(chan struct{}), make(chan struct{}, 10*MaxRequests)
		request := func(ctx context.Context) (int, error) {
			return Do(ctx, c, func(ctx context.Context, _ rueidis.Client) (int, error) {
				started <- struct{}{}
				<-server
				return 1, ctx.Err()
			})
		}
		began := time.Now()
		ends := make(chan error)
		for range 3 * MaxRequests {
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := request(ctx)
				ends <- err
			}()
		}
		for range 3 * MaxRequests {
			if err := <-ends; !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("%v; want the error of the context", err)
			}
		}
		if took := time.Since(began); took != time.Second || len(started) != MaxRequests {
			t.Errorf("%d requests ran, and all ended after %v; want %d, and %v", len(started), took, MaxRequests, time.Second)
		}
		close(server)
		synctest.Wait()
		if n, err := request(t.Context()); n != 1 || err != nil || len(c.requests) != 0 {
			t.Errorf("%d, %v, and %d requests run; want 1, nil and 0", n, err, len(c.requests))
		}
	})
}

// A panic of the client is an error, and frees the place of the request.
func TestDoPanics(t *testing.T) {
	c := &Connector{first: make(chan struct{}), requests: make(chan struct{}, 1)}
	close(c.first)
	for range 2 {
		_, err := Do(t.Context(), c, func(context.Context, rueidis.Client) (int, error) { panic("nonsense") })
		if err == nil {
			t.Error("no error")
		}
	}
}
