package greeter

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
)

// Clock is a clock that advances only on request, so that durations are equal in each run.
type Clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

// NewClock returns a clock whose time is the start of 2026, UTC.
func NewClock() *Clock { return &Clock{now: time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)} }

// Now returns the time. Safe for concurrent use.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance adds d to the time. Safe for concurrent use.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Slow returns a service that greets the last person of a call: with one reply, or with
// three if the method streams them. Each reply takes 20 ms of the clock. For the name
// "fail" the call ends with NOT_FOUND instead of the last reply. For "wait" it waits after
// the first reply until the caller ends the call.
func Slow(clock *Clock) *Service {
	return &Service{Handle: func(ctx context.Context, s Stream) error {
		name, err := lastName(s)
		if err != nil {
			return err
		}
		replies := 1
		if s.Method() == "GreetOften" || s.Method() == "Chat" {
			replies = 3
		}
		for left := replies; left > 0; left-- {
			clock.Advance(20 * time.Millisecond)
			if name == "fail" && left == 1 {
				return status.Error(codes.NotFound, "no such person")
			}
			if err := s.Send(&greeterpb.HelloReply{Text: "Hello, " + name}); err != nil {
				return err
			}
			if name == "wait" {
				<-ctx.Done()
				return ctx.Err()
			}
		}
		return nil
	}}
}

// lastName reads all requests.
func lastName(s Stream) (name string, err error) {
	for {
		req, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return name, nil
		}
		if err != nil {
			return "", err
		}
		name = req.GetName()
	}
}
