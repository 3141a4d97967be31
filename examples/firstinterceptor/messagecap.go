// Package firstinterceptor is the interceptor of docs/first-interceptor.md: it caps
// how many messages a server takes in one call.
package firstinterceptor

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// ErrTooMany is found by errors.Is in the error of a call that sent too many
// messages.
var ErrTooMany = errors.New("too many messages in one call")

// Received is how many messages the call had sent when it ended, for interceptors
// further out.
var Received = hauberk.NewKey[int]("messages received")

// MessageCap ends calls that send more than Max messages. The zero value is an
// error of hauberk.New.
type MessageCap struct {
	Max int
}

// Declare tells hauberk.New what is wrong with the configuration.
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
