// Package firstinterceptor is the interceptor of docs/first-interceptor.md. It limits the
// number of messages that a call may send.
package firstinterceptor

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// ErrTooMany is the cause of rejections of calls that sent too many messages.
var ErrTooMany = errors.New("too many messages in one call")

// Received is the key of the number of messages that were received, for outer interceptors.
var Received = hauberk.NewKey[int]("messages received")

// MessageCap ends calls that send more than Max messages. hauberk.New returns an error for
// the zero value.
type MessageCap struct {
	Max int
}

// Declare describes the interceptor, and reports errors of the configuration.
func (c MessageCap) Declare() hauberk.Declaration {
	d := hauberk.Declaration{Name: "message cap", Phase: hauberk.PhaseLimit}
	if c.Max < 1 {
		d.Err = fmt.Errorf("the cap is %d messages; want at least 1", c.Max)
	}
	return d
}

// Intercept runs around one call, of any kind.
func (c MessageCap) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	received := 0
	call.OnReceive(func(any) (keep bool, err error) {
		received++
		if received > c.Max {
			return false, &hauberk.Rejection{
				Code: codes.ResourceExhausted, Reason: "TOO_MANY_MESSAGES",
				Message: fmt.Sprintf("a call may send %d messages", c.Max), Cause: ErrTooMany,
			}
		}
		return true, nil
	})
	err := next(ctx, call)
	Received.Set(call, received)
	return err
}
