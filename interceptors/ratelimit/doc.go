// Package ratelimit rejects calls beyond a number in a time, on a server, a client
// or both.
//
//	chain, err := hauberk.New(
//		ratelimit.New(ratelimit.Config{Limit: 1000, Per: time.Second}), // by peer, ahead of authn
//		authn.New(validate, authn.Config{}),
//		ratelimit.New(ratelimit.Config{Limit: 100, Per: time.Minute, By: ratelimit.ByState(authn.User)}),
//	)
//
// # Rejections
//
// A call beyond the limit ends with RESOURCE_EXHAUSTED, "Rate limit exceeded", and
// nothing further in runs; on a server its request is not read. The status has a
// google.rpc.ErrorInfo with the reason RATE_LIMITED, a RetryInfo with the least
// time after which the call can be admitted, and a QuotaFailure whose subject is
// the kind of key ("user"), never a key itself. In this process errors.Is finds
// [ErrLimited]. Rejections are recorded ([hauberk.Call.Decisions]), with the limit as
// the rule.
//
// # What is charged
//
// Each call that is admitted takes one permit, whatever becomes of it further in; a
// rejected call takes none. Inside a retry each attempt is a call. In
// [hauberk.Shadow] the same calls are charged, and those that would be rejected go
// on and are not.
//
// On a server a call of a method that it does not have neither takes a permit nor
// needs one: it ends as UNIMPLEMENTED, and no one's quota is spent by names that do
// not exist. A proxy has no methods of its own: there set [Config.ChargeUnknown].
//
// # Keys
//
// Each key has a quota of its own; [Config.By] says what the key of a call is. A
// call without the key, such as one that was not authenticated, is counted by its
// peer, in a namespace of its own: it shares a quota neither with all other such
// calls nor with a user who is called like an address. An empty key counts as none.
//
// Place a limiter by user inside authentication, which decides whose quota a call
// takes from: [ByState] declares what it reads, so that [hauberk.New] rejects the
// other order. What authentication rejects never reaches it. Place one by peer
// ahead of authentication, to bound what strangers can cost.
//
// # Algorithms
//
// [GCRA], the default, gives permits back one by one and lets Burst calls through
// at once: in any time t at most Limit·t/Per + Burst calls. [SlidingWindow] lets at
// most Limit calls through in any stretch of time shorter than Per. [FixedWindow]
// counts in windows that follow the wall clock; up to twice the limit may pass
// around the edge of two of them.
//
// # Time
//
// Time is that of the monotonic clock: setting the wall clock changes nothing.
// Fixed windows begin at whole multiples of Per since 1970 UTC, the minutes and hours
// of the wall clock, as that stood when the limiter was made. Where a clock of the
// caller's ([WithClock]) stands still, permits do not come back; where it is set
// back, no one gets a fresh quota, and no one waits more than 10 s longer for it.
//
// # Memory
//
// At most [Config.MaxKeys] keys are kept, and as many peers of calls without one.
// For room, the one used least recently is forgotten, and has a fresh quota when it
// comes again; those whose quota is whole again are forgotten bit by bit. A key
// costs at most about 230 bytes, whatever its length: longer ones than 128 bytes are
// kept as their SHA-256. To that come 8 bytes for GCRA, 24 for FixedWindow, and for
// SlidingWindow 56 and 16 for each call in the window, up to 16 KiB.
package ratelimit
