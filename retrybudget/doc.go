// Package retrybudget bounds the load that repeated calls add to a service.
//
//	budget := retrybudget.New(retrybudget.Config{})
//	chain, err := hauberk.New(retry.New(retry.Config{}, retry.WithBudget(budget)), ...)
//
// All interceptors of a client that repeat calls share one [Budget]. Clients of different services
// should not: the failures of one would take what the calls to the others need. An extra attempt is any
// attempt of a call after its first one, by a retry or a hedge.
//
// # Ratio
//
// Without a bound, calls of three attempts triple the load of a service that fails, at the
// moment when it can bear it least. The ratio allows [Config].Ratio extra attempts for each
// call, 0.2 by default:
//
//   - The extra attempts within the last [Config].Window are at most Ratio times the calls
//     within it, or [Config].Reserve if that is more.
//   - Each call adds Ratio to a balance, and each extra attempt takes 1 from it. The balance
//     begins with Reserve. It never exceeds the bound of the window.
//
// The balance makes the bound hold at any rate of calls: from the beginning, all extra
// attempts are at most Reserve + Ratio · calls. The window alone would allow a client with
// few calls Reserve extra attempts in each window, which can be several for each call. A
// client whose calls seldom fail has all of the reserve when one does.
//
// The window advances in steps of a tenth. The clock is read at each extra attempt and at each
// 16th call. The calls since the last reading count at the time of the next one, so that up to
// 15 calls can stay in the window longer.
//
// # Failures
//
// A retry helps if few calls fail. If nearly all fail, retries fail as well, and a service that is
// overloaded needs its capacity for calls that can still succeed. So there are no extra attempts
// while the failures of the last one to two tenths of Window, 1 to 2 s by default, are more than
// [Config].FailureRatio of the calls, 0.8 by default. Up to 20 failures are always tolerated: a client
// with few calls is not affected.
//
// # Tokens
//
// If [Config].MaxTokens is set, the budget is also the token bucket of retryThrottling in
// gRFC A6: each failure takes 1 token, each success adds TokenRatio, and there are no extra
// attempts while at most half of MaxTokens is left. FailureRatio has the same purpose, and is in
// proportion to the calls: many calls that fail at once because a connection was lost do not use it up,
// and the failures of an outage are soon forgotten.
//
// # Sources
//
//   - gRFC A6, Client Retries, Throttling Retry Attempts and Hedged RPCs: tokens.
//   - Finagle's RetryBudget and Linkerd: a balance that calls fill, 20 % by default, with a
//     time to live of 10 s, and a reserve. Their reserve comes back with time; this one comes
//     back with calls.
//   - Envoy's retry_budget: 20 % of the active calls by default, and at least 3.
package retrybudget
