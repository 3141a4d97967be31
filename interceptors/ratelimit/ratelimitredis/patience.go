package ratelimitredis

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// patience is how long a call waits for the server. It belongs to the goroutine of the call.
type patience struct {
	timer *time.Timer
	over  bool
}

func newPatience(timeout time.Duration) *patience { return &patience{timer: time.NewTimer(timeout)} }

func (p *patience) end() { p.timer.Stop() }

// errLate is the error of a call that waited for its timeout.
var errLate = errors.New("late")

// handovers is how many goroutines an answer passes until a call has it: that which reads the connection, that of the
// request, and that of another call that waits for the same request. One more is for the poll of the network.
const handovers = 4

// await waits for done until the timeout or the end of ctx. The server is late only if its answer has not arrived:
// a process with more goroutines than it can run at the moment may run the one with the timeout before those
// that pass an answer on. So these run first.
func (p *patience) await(ctx context.Context, done <-chan struct{}) error {
	if !p.over {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-p.timer.C:
			p.over = true
		}
	}
	for range handovers {
		select {
		case <-done:
			return nil
		default:
			runtime.Gosched()
		}
	}
	select {
	case <-done:
		return nil
	default:
		return errLate
	}
}

// explainWait returns an error of await for the caller.
func (s *Store) explainWait(err error) error {
	if !errors.Is(err, errLate) {
		return err
	}
	err = fmt.Errorf("%w from %s", ErrNoAnswer, s.connector.Name())
	if cause := s.connector.Err(); cause != nil {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return err
}
