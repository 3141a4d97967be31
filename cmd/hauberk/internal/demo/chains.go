package demo

import (
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/demo/shoppb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// maxImport is the largest number of items in one import.
const maxImport = 100

// plannedImport is a smaller limit. It is in shadow, to find out which callers it would
// affect.
const plannedImport = 50

// maxAttempts is the largest number of attempts of a shopper's call. It is also the
// breaker's threshold, so that the first call of an outage opens the circuit.
const maxAttempts = 3

// interceptors are the parts that the chains share.
type interceptors struct {
	logger   *slog.Logger
	spans    *tracing.Interceptor
	counts   *metrics.Interceptor // counts calls, separately for each side
	tries    *metrics.Interceptor // counts attempts
	open     *openCalls
	attempts *attempts
	breaker  *breaker.Interceptor
	issuer   *issuer
	tokens   *authnjwt.Validator // accepts the tokens of the issuer
}

// serverChain returns the shop's chain.
func (l *interceptors) serverChain() (*hauberk.Chain, error) {
	return hauberk.Config{
		Public:     []string{hauberk.Reflection}, // for tools such as grpcurl; their calls need no token
		CountBytes: true,                         // for the metrics
	}.New(
		requestid.New(requestid.Config{}),   // first: all inner interceptors can use the id
		l.spans,                             // likewise the trace
		l.counts,                            // sees the final code of every call, rejected or not
		newLogging(l.logger),                // likewise, with the decisions
		newRecovery(l.logger),               // turns an inner panic into an error
		authn.New(authn.Config{}, l.tokens), // before those that read the user
		authz.New(authz.Config{Policy: rules()}),
		limit(planTrade, 2*maxRate, time.Second),
		limit(planTrial, trialCalls, trialTime),
		hauberk.For(shoppb.Cart_Import_FullMethodName,
			hauberk.Shadow(cartLimit{"planned_cart_limit", plannedImport}), // records what it would reject
			cartLimit{"cart_limit", maxImport}),
	)
}

// clientChain returns the chain of one shopper.
func (l *interceptors) clientChain(shopper string) (*hauberk.Chain, error) {
	chain := []hauberk.Interceptor{
		l.open,                            // outermost: a call that it no longer has was counted
		requestid.New(requestid.Config{}), // sends the id to the server, the same for each attempt
		l.spans,                           // likewise the trace
		l.counts,                          // counts what shoppers see: calls, not attempts
		newLogging(l.logger),
		retry.New(retry.Config{ // the inner interceptors run for each attempt
			AllMethods:  true, // the protos of the shop set no idempotency_level, and its calls change nothing
			MaxAttempts: maxAttempts, InitialBackoff: 5 * time.Millisecond, MaxBackoff: 50 * time.Millisecond,
		}),
		l.spans.Attempts(), // a child span for each attempt
		hauberk.Named("metrics_of_attempts", l.tries),
	}
	if shopper == carla { // no other shopper, so that the outcome of the others' calls is known
		chain = append(chain, hauberk.For("shop.v1.Catalog/*", l.breaker))
	}
	chain = append(chain, l.attempts)
	if shopper != noToken {
		source, err := l.issuer.credential(shopper)
		if err != nil {
			return nil, err
		}
		chain = append(chain, authn.NewClient(authn.TokenFunc(source), authn.ClientConfig{AllowClearText: true}))
	}
	return hauberk.Config{CountBytes: true}.New(chain...)
}

// newBreaker returns a breaker whose circuits open after few failures, for a short time.
func newBreaker(options ...breaker.Option) *breaker.Interceptor {
	return breaker.New(breaker.Config{
		FailureThreshold: maxAttempts,
		OpenFor:          time.Second,
		FailureCodes:     []codes.Code{codes.Unavailable},
	}, options...)
}

// newRecovery returns a recovery interceptor that logs panics with the call's request id,
// user and trace.
func newRecovery(logger *slog.Logger) hauberk.Interceptor {
	return recovery.New(recovery.Config{},
		recovery.WithLogger(logger),
		recovery.State("request_id", requestid.Key),
		recovery.State("user", authn.User),
		recovery.WithAttrs(tracing.LogAttrs))
}

// newLogging returns a logging interceptor that adds the request id, the user, the last
// attempt and the trace to each record.
func newLogging(logger *slog.Logger) hauberk.Interceptor {
	return logging.New(logging.Config{},
		logging.WithLogger(logger),
		logging.State("request_id", requestid.Key),
		logging.State("user", authn.User),
		logging.State("attempt", retry.Attempt),
		logging.WithAttrs(tracing.LogAttrs))
}
