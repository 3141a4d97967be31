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
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// maxImport is how many items the shop takes in one import.
const maxImport = 100

// plannedImport is how many it is to take once it is known whom that would hurt.
const plannedImport = 50

// maxAttempts is how often a shopper's call is made at most. As many failures open
// the breaker, so that the first call of an outage does.
const maxAttempts = 3

// interceptors are what the chains share.
type interceptors struct {
	logger   *slog.Logger
	spans    *tracing.Interceptor
	counts   *metrics.Interceptor // of calls, on both ends, which it keeps apart
	tries    *metrics.Interceptor // of the attempts of calls
	open     *openCalls
	attempts *attempts
	breaker  *breaker.Breaker
}

// serverChain is the chain of the shop.
func (l *interceptors) serverChain() (*hauberk.Chain, error) {
	return hauberk.Config{
		Public:     []string{hauberk.Reflection}, // for tools such as grpcurl; their calls need no token
		CountBytes: true,                         // for the metrics
	}.New(
		requestid.New(requestid.Config{}), // first: all that follows can tell the id
		l.spans,                           // likewise, the trace
		l.counts,                          // sees the final code of every call, rejected or not
		newLogging(l.logger),              // likewise, with the decisions
		newRecovery(l.logger),             // a panic further in is an error further out
		authn.New(validator(accounts()), authn.Config{}), // before all that asks who calls
		limit(planTrade, 2*maxRate, time.Second),
		limit(planTrial, trialCalls, trialTime),
		hauberk.For(shoppb.Cart_Import_FullMethodName,
			hauberk.Shadow(cartLimit{"planned_cart_limit", plannedImport}), // tells what it would reject
			cartLimit{"cart_limit", maxImport}),
	)
}

// clientChain is the chain of one shopper.
func (l *interceptors) clientChain(shopper string) (*hauberk.Chain, error) {
	chain := []hauberk.Interceptor{
		l.open,                            // outermost: when it lets go of a call, the call has been counted
		requestid.New(requestid.Config{}), // the id travels to the server, the same with each attempt
		l.spans,                           // so does the trace
		l.counts,                          // what shoppers see: calls, not attempts
		newLogging(l.logger),
		retry.New(retry.Config{ // what follows runs for each attempt
			AllMethods:  true, // the shop's protos set no idempotency_level, and its calls do nothing
			MaxAttempts: maxAttempts, InitialBackoff: 5 * time.Millisecond, MaxBackoff: 50 * time.Millisecond,
		}),
		l.spans.Attempts(), // a span each, inside that of the call
		hauberk.Named("metrics_of_attempts", l.tries),
	}
	if shopper == carla { // only hers, so that what becomes of the others' calls is known
		chain = append(chain, hauberk.For("shop.v1.Catalog/*", l.breaker))
	}
	chain = append(chain, l.attempts)
	if shopper != nobody {
		chain = append(chain, authn.NewClient(authn.StaticToken(tokenOf(shopper)), authn.ClientConfig{}))
	}
	return hauberk.Config{CountBytes: true}.New(chain...)
}

// newBreaker has circuits that open soon, and not for long.
func newBreaker(options ...breaker.Option) *breaker.Breaker {
	return breaker.New(breaker.Config{
		FailureThreshold: maxAttempts,
		OpenFor:          time.Second,
		FailureCodes:     []codes.Code{codes.Unavailable},
	}, options...)
}

// newRecovery has the log name whose call panicked, and where else to find it.
func newRecovery(logger *slog.Logger) hauberk.Interceptor {
	return recovery.New(recovery.Config{},
		recovery.WithLogger(logger),
		recovery.State("request_id", requestid.Key),
		recovery.State("user", authn.User),
		recovery.WithAttrs(tracing.LogAttrs))
}

// newLogging has the log name whose call it was, which attempt of it, and where
// else to find it.
func newLogging(logger *slog.Logger) hauberk.Interceptor {
	return logging.New(logging.Config{},
		logging.WithLogger(logger),
		logging.State("request_id", requestid.Key),
		logging.State("user", authn.User),
		logging.State("attempt", retry.Attempt),
		logging.WithAttrs(tracing.LogAttrs))
}
