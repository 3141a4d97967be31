// Package ratelimit limits the rate of calls, on servers and clients.
//
//	chain, err := hauberk.New(
//		ratelimit.New(ratelimit.Config{Limit: 1000, Per: time.Second}), // by peer, outside of authn
//		authn.New(authn.Config{}, authn.Bearer(validate)),
//		ratelimit.New(ratelimit.Config{Limit: 100, Per: time.Minute, By: callkey.User()}),
//	)
//
// # Rejections
//
// A call over the limit ends with RESOURCE_EXHAUSTED, "Rate limit exceeded". No inner
// interceptor runs, and a server does not read its request. The status has three details:
//
//   - google.rpc.ErrorInfo with the reason RATE_LIMITED;
//   - RetryInfo with the shortest time after which the call can be admitted by all limits;
//   - QuotaFailure, whose subject is the kind of key ("user"), never a key.
//
// A server also sends that time in the trailer, as grpc-retry-pushback-ms of gRFC A6, which clients
// with a retry policy obey. A call that costs more than the burst can never be admitted: it has no
// RetryInfo, and a pushback of -1. [Config.Headers] reports the quota to clients before that.
//
// In the process errors.Is finds [ErrLimited]. Rejections are recorded
// ([hauberk.Call.Decisions]), with the limit as the rule.
//
// # What is charged
//
// Each admitted call takes one permit, however it ends; a rejected call takes none. Inside a
// retry each attempt takes one. In [hauberk.Shadow] the same calls are charged, and those
// that would be rejected continue and take none.
//
// [Config.Cost] changes the number: by method, by a function or an expression (package callexpr), and for
// each message and byte of the call. Handlers can charge what a call turned out to cost, and give permits back
// ([Interceptor.Charge]), or ask for permits before a part of their work ([Interceptor.Take]). A
// message without permits ends its call or waits, as [Config.OverLimit] says. Messages that wait for the
// same quota get its permits one after the other.
//
// With several limits ([Config.Also]) a call takes permits of all or of none, at once: no call is
// rejected because another one had taken permits for a moment.
//
// # Keys
//
// [Config.By] chooses the key of a call; each key has a separate quota. Package callkey says how to
// choose, what calls without the key count for, and why keys do not collide.
//
// Limits by identity do not count the methods in [hauberk.Config.Public], since their callers have
// no identity: a health check is not rejected because another one was. On a server, limits by peer
// count calls of unknown methods, since these cost work too. Other limits do not: such a call ends
// as UNIMPLEMENTED. A proxy has no methods itself: set [Config.ChargeUnknown] there.
//
// Place a limit by user inside authentication, which decides whose quota a call takes from: its key
// declares what it reads, so that [hauberk.New] rejects the other order. Place a limit by peer
// outside of authentication, to bound the work for untrusted callers.
//
// # Algorithms
//
//   - [GCRA], the default, returns permits one by one and admits Burst calls at once: in any
//     time t at most Limit·t/Per + Burst calls.
//   - [SlidingWindow] admits at most Limit calls in any interval shorter than Per.
//   - [FixedWindow] counts in windows that follow the wall clock. Up to twice the limit may
//     pass around the edge between two windows.
//
// # Quotas that nodes share
//
// [WithStore] keeps the quotas in a store, such as Redis, so that the limit holds for all nodes of a
// service together. If the store does not answer within [Shared.Timeout], a call is treated as
// [Shared.Fail] says; after three failures in a row calls do without it for [Shared.RetryStore]. Failures at the
// same time count as one, so that a pause of the store, or of the process, concerns only the calls in it. The
// failure mode is in force from the first call: a store that cannot be reached at the start is no
// error. [Interceptor.StoreFailures] and a log record report it.
//
//	mode        calls while the store fails               use it if
//	FailLocal   this node's part of the limit             the limit protects the service
//	FailOpen    all                                       the limit is a courtesy
//	FailClosed  none: UNAVAILABLE, with RetryInfo         each call above the limit does harm
//
// # Time
//
// The limiter uses the monotonic clock: setting the wall clock changes nothing. Fixed windows
// begin at whole multiples of Per since 1970 UTC by the wall clock at the time of [New]. If
// the clock given to [WithClock] does not advance, no permits return. If it is set back, no
// caller gets a fresh quota, and no caller waits more than 10 s longer, or a burst more with
// [Cost.Charged].
//
// # Memory
//
// At most [Config.MaxKeys] keys are kept for each limit, and as many peers of calls without one. The
// least recently used key is evicted, and has a fresh quota when it returns; keys whose quota is
// whole again are removed gradually. A key costs at most about 230 bytes; keys longer than
// 128 bytes are kept as their SHA-256. Add 8 bytes for GCRA, 24 for FixedWindow, and for
// SlidingWindow 56 bytes and 16 for each call in the window, up to 16 KiB.
package ratelimit
