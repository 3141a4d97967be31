// Package breaker stops a client's calls to what fails, and finds out with a few
// of them when it works again.
//
//	chain, err := hauberk.New(retry.New(retry.Config{}), breaker.New(breaker.Config{FailureThreshold: 5}))
//
// A circuit is closed, open or half-open. So many failures in a row open a closed
// one. An open one rejects all calls, with UNAVAILABLE and nothing sent, for a
// time; then it is half-open and admits a few calls at once as probes. The first
// probe that succeeds closes it, the first that fails opens it again.
//
// There is a circuit for each service, method or target, as configured. A call
// counts when it ends, a stream too, and by its final status: the configured codes
// are failures, CANCELLED says nothing, as do rejections by inner interceptors,
// and all else is a success. A call that was admitted before the circuit last
// changed counts for nothing.
//
// The pattern is that of M. Nygard, "Release It!", 2007.
package breaker
