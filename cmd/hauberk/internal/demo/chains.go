package demo

import (
	"context"
	"log/slog"
	"sync"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/demo/shoppb"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

// maxImport is how many items the shop takes in one import.
const maxImport = 100

func serverChain(logger *slog.Logger, counts *metrics.Metrics) (*hauberk.Chain, error) {
	return hauberk.New(
		requestid.New(requestid.Config{}), // first: all that follows can tell the id
		counts,                            // sees the final code of every call, refused or not
		newLogging(logger),                // likewise, with the decisions
		recovery.New(recovery.Config{}, recovery.WithLogger(logger)), // a panic further in is an error further out
		hauberk.For(shoppb.Cart_Import_FullMethodName, cartLimit{max: maxImport}),
	)
}

func clientChain(logger *slog.Logger, counts *metrics.Metrics, open *openCalls) (*hauberk.Chain, error) {
	return hauberk.New(
		open,                              // outermost: when it lets go of a call, the call has been counted
		requestid.New(requestid.Config{}), // the id travels to the server
		counts,                            // what shoppers see
		newLogging(logger),
	)
}

func newLogging(logger *slog.Logger) hauberk.Interceptor {
	return logging.New(logging.Config{},
		logging.WithLogger(logger), logging.State("request_id", requestid.Key))
}

// cartLimit refuses an import once it holds more than max items. It is written as
// any user of the library would write it.
type cartLimit struct{ max int64 }

// Declare says that the link only decides, so that it could be put in Shadow.
func (l cartLimit) Declare() hauberk.Declaration {
	return hauberk.Declaration{Name: "cart_limit", Phase: hauberk.PhaseValidate, Decides: true}
}

// Intercept counts the items as they arrive.
func (l cartLimit) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	var items int64
	call.OnReceive(func(msg any) (keep bool, err error) {
		if req, ok := msg.(*shoppb.ImportRequest); ok {
			items += int64(req.GetItem().GetQuantity())
		}
		if items > l.max {
			return false, l.refuse(call)
		}
		return true, nil
	})
	return next(ctx, call)
}

func (l cartLimit) refuse(call *hauberk.Call) error {
	const reason = "CART_FULL"
	call.Decide(hauberk.Decision{
		Link: "cart_limit", Rule: "items of one import", Verdict: hauberk.Refused, Reason: reason,
	})
	return hauberk.Reject(codes.ResourceExhausted, reason, "the cart is full")
}

// openCalls waits for the calls that have not ended. It needs no more than next,
// which returns when a call has ended, also that of a stream that nobody reads.
type openCalls struct{ sync.WaitGroup }

// Intercept notes that a call is open.
func (o *openCalls) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	o.Add(1)
	defer o.Done()
	return next(ctx, call)
}
