// Package ratelimit limits the rate of calls, on servers and clients.
//
//	chain, err := hauberk.New(
//		ratelimit.New(ratelimit.Config{Limit: 1000, Per: time.Second}), // by peer, outside of authn
//		authn.New(authn.Config{}, authn.Bearer(validate)),
//		ratelimit.New(ratelimit.Config{Limit: 100, Per: time.Minute, By: ratelimit.ByState(authn.User)}),
//	)
//
// # Rejections
//
// A call over the limit ends with RESOURCE_EXHAUSTED, "Rate limit exceeded". No inner
// interceptor runs, and a server does not read its request. The status has three details:
//
//   - google.rpc.ErrorInfo with the reason RATE_LIMITED;
//   - RetryInfo with the shortest time after which the call can be admitted;
//   - QuotaFailure, whose subject is the kind of key ("user"), never a key.
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
// Limits by identity ([ByState], [By] with state) do not count the methods in
// [hauberk.Config.Public], since their callers have no identity: a health check is not
// rejected because another one was.
//
// On a server, limits by peer count calls of unknown methods, since these cost work too.
// Other limits do not: such a call ends as UNIMPLEMENTED. A proxy has no methods itself: set
// [Config.ChargeUnknown] there.
//
// # Keys
//
// [Config.By] chooses the key of a call; each key has a separate quota. A call without the
// key, such as one that was not authenticated, is counted by its peer, in a separate
// namespace: it shares a quota neither with all other such calls nor with a user whose name
// looks like an address. An empty key is no key.
//
// Place a limit by user inside authentication, which decides whose quota a call takes from:
// [ByState] declares what it reads, so that [hauberk.New] rejects the other order. Place a
// limit by peer outside of authentication, to bound the work for untrusted callers.
//
// # Algorithms
//
//   - [GCRA], the default, returns permits one by one and admits Burst calls at once: in any
//     time t at most Limit·t/Per + Burst calls.
//   - [SlidingWindow] admits at most Limit calls in any interval shorter than Per.
//   - [FixedWindow] counts in windows that follow the wall clock. Up to twice the limit may
//     pass around the edge between two windows.
//
// # Time
//
// The limiter uses the monotonic clock: setting the wall clock changes nothing. Fixed windows
// begin at whole multiples of Per since 1970 UTC by the wall clock at the time of [New]. If
// the clock given to [WithClock] does not advance, no permits return. If it is set back, no
// caller gets a fresh quota, and no caller waits more than 10 s longer.
//
// # Memory
//
// At most [Config.MaxKeys] keys are kept, and as many peers of calls without one. The least
// recently used key is evicted, and has a fresh quota when it returns; keys whose quota is
// whole again are removed gradually. A key costs at most about 230 bytes; keys longer than
// 128 bytes are kept as their SHA-256. Add 8 bytes for GCRA, 24 for FixedWindow, and for
// SlidingWindow 56 bytes and 16 for each call in the window, up to 16 KiB.
package ratelimit
