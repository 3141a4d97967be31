package showcases

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
	"github.com/hauberk-rpc/hauberk/interceptors/forward"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// sentAt is the metadata key of the time when a client sent the call, in nanoseconds since 1970.
const sentAt = "client-request-time"

// HeadroomServer keeps 20 ms of a call's time for the answer, rejects calls with less than 100 ms for work, and
// reports how long calls were on their way. A client whose clock differs by more than maxSkew is rejected.
func HeadroomServer(maxSkew time.Duration, observe func(lag time.Duration)) []hauberk.Interceptor {
	lag := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		for _, text := range call.Metadata(ctx, sentAt) {
			nanos, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return hauberk.Reject(codes.InvalidArgument, "REQUEST_TIME_MALFORMED",
					sentAt+" is not a number of nanoseconds")
			}
			took := time.Since(time.Unix(0, nanos))
			if took.Abs() > maxSkew {
				return hauberk.Reject(codes.FailedPrecondition, "CLOCK_SKEW",
					fmt.Sprintf("the clocks differ by %s", took))
			}
			observe(took)
		}
		return next(ctx, call)
	}
	return []hauberk.Interceptor{
		hauberk.Named("lag", hauberk.Func(lag)),
		deadline.New(deadline.Config{
			Default: 100 * time.Second, Margin: 20 * time.Millisecond, MinTimeLeft: 120 * time.Millisecond,
		}),
	}
}

// HeadroomClient sends the time and the user agent of the incoming call, bounds the time of calls, and counts those in
// flight by method. A call that is too late ends with an error that names the method and the time it took.
func HeadroomClient(timeout time.Duration, inFlight *metrics.Interceptor) []hauberk.Interceptor {
	stamp := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		begin := time.Now()
		err := next(metadata.AppendToOutgoingContext(ctx, sentAt, strconv.FormatInt(begin.UnixNano(), 10)), call)
		if hauberk.CodeOf(err) != codes.DeadlineExceeded {
			return err
		}
		r := hauberk.Reject(codes.DeadlineExceeded, "TIMED_OUT",
			fmt.Sprintf("%s timed out after %d ms", call.Method().FullName(), time.Since(begin).Milliseconds()))
		r.Cause = err
		return r
	}
	return []hauberk.Interceptor{
		forward.New(forward.Config{Metadata: []string{"acme-user-agent"}}),
		inFlight,
		hauberk.Named("stamp", hauberk.Func(stamp)),
		deadline.New(deadline.Config{Max: timeout}),
	}
}
