package demo

import (
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/demo/shoppb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// maxImport is how many items the shop takes in one import.
const maxImport = 100

// maxAttempts is how often a shopper's call is made at most. As many failures open
// the breaker, so that the first call of an outage does.
const maxAttempts = 3

func serverChain(logger *slog.Logger, counts *metrics.Metrics) (*hauberk.Chain, error) {
	return hauberk.New(
		requestid.New(requestid.Config{}), // first: all that follows can tell the id
		counts,                            // sees the final code of every call, refused or not
		newLogging(logger),                // likewise, with the decisions
		recovery.New(recovery.Config{}, recovery.WithLogger(logger)), // a panic further in is an error further out
		authn.New(validator(accounts()), authn.Config{}),             // before all that asks who calls
		limit(planTrade, 2*maxRate, time.Second),
		limit(planTrial, trialCalls, trialTime),
		hauberk.For(shoppb.Cart_Import_FullMethodName, cartLimit{max: maxImport}),
	)
}

// links are what the chains of all shoppers share.
type links struct {
	logger   *slog.Logger
	counts   *metrics.Metrics
	open     *openCalls
	attempts *attempts
	breaker  *breaker.Breaker
}

// clientChain is the chain of one shopper.
func (l *links) clientChain(shopper string) (*hauberk.Chain, error) {
	chain := []hauberk.Interceptor{
		l.open,                            // outermost: when it lets go of a call, the call has been counted
		requestid.New(requestid.Config{}), // the id travels to the server, the same with each attempt
		l.counts,                          // what shoppers see: calls, not attempts
		newLogging(l.logger),
		retry.New(retry.Config{ // what follows runs for each attempt
			MaxAttempts: maxAttempts, InitialBackoff: 5 * time.Millisecond, MaxBackoff: 50 * time.Millisecond,
		}),
	}
	if shopper == carla { // only hers, so that what becomes of the others' calls is known
		chain = append(chain, hauberk.For("shop.v1.Catalog/*", l.breaker))
	}
	chain = append(chain, l.attempts)
	if shopper != nobody {
		chain = append(chain, authn.NewClient(authn.StaticToken(tokenOf(shopper)), authn.ClientConfig{}))
	}
	return hauberk.New(chain...)
}

// newBreaker has circuits that open soon, and not for long.
func newBreaker(options ...breaker.Option) *breaker.Breaker {
	return breaker.New(breaker.Config{
		FailureThreshold: maxAttempts,
		OpenFor:          time.Second,
		FailureCodes:     []codes.Code{codes.Unavailable},
	}, options...)
}

func newLogging(logger *slog.Logger) hauberk.Interceptor {
	return logging.New(logging.Config{},
		logging.WithLogger(logger), logging.State("request_id", requestid.Key))
}
