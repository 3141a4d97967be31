package deadline

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
)

// The errors that errors.Is finds in rejections, in this process.
var (
	ErrTooShort = errors.New("the caller leaves too little time")
	ErrReceive  = errors.New("no message was received in time")
	ErrSend     = errors.New("a message could not be sent in time")
	ErrIdle     = errors.New("no message was received or sent in time")
)

// The reasons of rejections ([hauberk.Reason]), on both sides. The code is DEADLINE_EXCEEDED.
const (
	// ReasonTooShort: less time is left than MinTimeLeft, or than the method usually needs.
	ReasonTooShort = "DEADLINE_TOO_SHORT"
	// ReasonReceive: ReceiveTimeout has passed.
	ReasonReceive = "RECEIVE_TIMEOUT"
	// ReasonSend: SendTimeout has passed.
	ReasonSend = "SEND_TIMEOUT"
	// ReasonIdle: IdleTimeout has passed.
	ReasonIdle = "IDLE_TIMEOUT"
)

// cause is one kind of rejection.
type cause struct {
	err             error
	reason, message string
	setting         setting // whose time has passed
	count           func(c *counts) *atomic.Uint64
}

//nolint:gochecknoglobals // never written
var (
	tooShort = cause{
		ErrTooShort, ReasonTooShort, "Not enough time left for the call", minTimeLeft,
		func(c *counts) *atomic.Uint64 { return &c.tooShort },
	}
	receiving = cause{
		ErrReceive, ReasonReceive, "No message received in time", receiveTimeout,
		func(c *counts) *atomic.Uint64 { return &c.receive },
	}
	sending = cause{
		ErrSend, ReasonSend, "Message not sent in time", sendTimeout,
		func(c *counts) *atomic.Uint64 { return &c.send },
	}
	idling = cause{
		ErrIdle, ReasonIdle, "No message in time", idleTimeout,
		func(c *counts) *atomic.Uint64 { return &c.idle },
	}
)

// errDeadline is the status of a call that a server ends at its deadline: that of grpc-go.
var errDeadline = status.FromContextError(context.DeadlineExceeded).Err()

// rejection returns the rejection for a cause.
func (c *cause) rejection() *hauberk.Rejection {
	return &hauberk.Rejection{Code: codes.DeadlineExceeded, Reason: c.reason, Message: c.message, Cause: c.err}
}

// reject records and returns the rejection of a call.
func (x *Interceptor) reject(call *hauberk.Call, c *cause, rule string) error {
	c.count(&x.counts).Add(1)
	call.Decide(hauberk.Decision{Rule: rule, Verdict: hauberk.Rejected, Reason: c.reason})
	return c.rejection()
}

// tooShort rejects a call that has not enough time left. One that its caller has cancelled before ends with
// CANCELLED, as without the interceptor.
//
//go:noinline // its variables would be on the stack of Intercept as long as the call runs
func (x *Interceptor) tooShort(
	ctx context.Context, call *hauberk.Call, next hauberk.Next, l *limits, left time.Duration,
) error {
	if call.Side() == hauberk.ClientSide && errors.Is(ctx.Err(), context.Canceled) {
		return next(ctx, call)
	}
	least := l.times[minTimeLeft]
	rule := fmt.Sprintf("%v left, at most MinTimeLeft of %v", max(left, 0), least)
	if left > least {
		rule = fmt.Sprintf("%v left, less than the typical %v (quantile %v)",
			left, l.typical.usual(x.now()), l.quantile)
	}
	return x.reject(call, &tooShort, rule)
}

// counts are the numbers of what the interceptor did.
type counts struct{ tooShort, receive, send, idle, ended atomic.Uint64 }

// Measurements returns how many calls the interceptor has ended: see [hauberk.Chain.Measurements].
func (x *Interceptor) Measurements() []hauberk.Measurement {
	all := make([]hauberk.Measurement, 0, 5)
	for _, c := range []*cause{&tooShort, &receiving, &sending, &idling} {
		all = append(all, hauberk.Measurement{
			Name: "deadline_rejected_total", Help: "Calls that were rejected or ended, by reason.", Counter: true,
			LabelName: "reason", LabelValue: c.reason, Value: float64(c.count(&x.counts).Load()),
		})
	}
	return append(all, hauberk.Measurement{
		Name: "deadline_ended_total", Counter: true, Value: float64(x.counts.ended.Load()),
		Help: "Calls that a server ended at a deadline.",
	})
}
