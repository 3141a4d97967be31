// Package rlsserver is a server of Envoy's rate limit protocol: the service
// envoy.service.ratelimit.v3.RateLimitService, on top of the limits of package ratelimit.
//
//	limits, err := rlsserver.New(rlsserver.Config{Domains: []rlsserver.Domain{{
//		Name: "shop",
//		Descriptors: []rlsserver.Descriptor{
//			{Key: "user", Limit: &rlsserver.Limit{Permits: 100, Per: time.Minute}},
//			{Key: "user", Value: "batch", Limit: &rlsserver.Limit{Permits: 10, Per: time.Minute}},
//		},
//	}}})
//	srv := chain.NewServer()
//	rlsv3.RegisterRateLimitServiceServer(srv, limits)
//
// Its clients are Envoys, and other services through package ratelimitrls. The command `hauberk
// ratelimit-service` runs it with a file of limits.
//
// # Which limit counts
//
// A request has a domain and descriptors, each a list of entries, key and value. As in the
// reference server (envoyproxy/ratelimit), [Descriptor] form a tree. For each entry the tree is
// descended: to the child with the key and the value, or else to the one with the key and no value. The
// limit is that of the last entry's child. There is no way back: a child with the value hides the one without.
//
// All requests for which a limit counts share a quota if they have the same values: a limit of a key
// without a value has one quota for each value.
//
// A limit that the request carries counts in place of the configured one with [Config.Overrides];
// otherwise it is ignored. Its quota belongs to the domain, keys and values. A limit of 0
// rejects all. Months have 30 days and years 365, as in the reference server.
//
// Descriptors and domains without a limit are OK, or an error with [FailUnknown].
//
// # Answers
//
// The answer is OVER_LIMIT if a descriptor is over its limit. Such a request takes nothing of any
// limit; another one takes its hits_addend of all, 1 by default. With [Limit.ChargeRejected] a
// limit also counts requests that are over it. A hits_addend of 0 in a descriptor asks only;
// is_negative_hits gives hits back if the request is OK.
//
// Each status has current_limit (the unit is UNKNOWN if the period has no whole seconds), limit_remaining,
// and duration_until_reset: the time until the quota is whole or, over the limit, until the same request
// can succeed. An unlimited descriptor has the highest limit_remaining, and one without a limit none of
// these. Headers for the client are added with [Config.Headers].
//
// A request that is malformed ends with INVALID_ARGUMENT: without a domain or descriptors, with a
// descriptor without entries, an entry without a key, an unknown unit, more than 2^31-1 hits, more
// than 64 descriptors, or 32 entries. Envoy then does as its failure_mode_deny says.
//
// # Quotas
//
// Quotas are in the memory of the process, bounded as those of package ratelimit, or in a
// [ratelimit.Store] with [WithStore], for several servers. [Config.Shared] says what happens while
// the store does not answer: with [ratelimit.FailClosed] requests end with UNAVAILABLE. A limit in
// shadow mode costs a further request to the store, and so do hits that are given back.
//
// [Server.Reload] replaces the configuration. Limits whose descriptors and figures are the same keep
// their quotas.
//
// # Differences from the reference server
//
//   - Requests over a limit are not counted, by default, and take nothing of other limits.
//   - Permits return evenly by default; [ratelimit.FixedWindow] is what the reference server does.
//   - A value cannot end with a wildcard, and there is no replaces or share_threshold.
package rlsserver
