package ratelimitredis

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// patience is how long a call waits for the server: until a timeout or the end of the call.
type patience struct {
	call   context.Context //nolint:containedctx // of the call
	ctx    context.Context //nolint:containedctx // ends with call, or with the timeout
	cancel context.CancelFunc
}

func newPatience(call context.Context, timeout time.Duration) *patience {
	p := &patience{call: call}
	p.ctx, p.cancel = context.WithTimeout(call, timeout)
	return p
}

func (p *patience) end() { p.cancel() }

// errLate is the error of a call that waited for its timeout.
var errLate = errors.New("late")

// cause returns the error of the call if that has ended, or errLate.
func (p *patience) cause() error {
	if err := p.call.Err(); err != nil {
		return err
	}
	return errLate
}

// handovers is how many goroutines an answer passes until a call has it: that which reads the connection, that of the
// request, and that of another call that waits for the same request. One more is for the poll of the network.
const handovers = 4

// await waits for done until the timeout or the end of the call. The server is late only if its answer has not arrived:
// a process with more goroutines than it can run at the moment may run the one with the timeout before those
// that pass an answer on. So these run first.
func (p *patience) await(done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-p.ctx.Done():
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
		return p.cause()
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
