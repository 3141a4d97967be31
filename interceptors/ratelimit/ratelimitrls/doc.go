// Package ratelimitrls keeps the quotas of package ratelimit in a server of Envoy's rate limit
// protocol: the method ShouldRateLimit of envoy.service.ratelimit.v3.RateLimitService. Package
// rlsserver is such a server, and so is the reference server, envoyproxy/ratelimit.
//
//	conn, err := grpc.NewClient("dns:///ratelimit:8081", grpc.WithTransportCredentials(creds))
//	chain, err := hauberk.New(
//		ratelimit.New(
//			ratelimit.Config{Limit: 100, Per: time.Minute, By: callkey.User()},
//			ratelimit.WithStore(ratelimitrls.New(conn, ratelimitrls.Config{Domain: "shop"})),
//		),
//	)
//
// # Requests
//
// All demands of a call are one request, with one descriptor for each limit. A descriptor has the
// entries of [Descriptor.Entries] and then one entry: the kind of key, such as "user", with the
// call's value of it. Calls without the key have another entry, "user_peer", with their peer. Before
// all of them, descriptors of the limits of [ratelimit.FromPolicy] have the entry "limit" with the method
// or the service ([ratelimit.Limit.ID]).
//
//   - hits_addend is the number of permits. If it differs between the descriptors, each has its own,
//     and that of the request is the highest: a server that does not know the field of descriptors takes
//     too many permits, never too few.
//   - limit is the limit of the configuration, unless [Config.ServerLimits] is set. RLS has whole
//     seconds, minutes, hours and days, as many as fit into 32 bits, and neither burst nor algorithm:
//     Open reports limits that do not fit. The server chooses the algorithm.
//
// Keys are binary, but the strings of protobuf are not. A value is the key itself if that is UTF-8 of
// 1 to 256 bytes without control characters. Others are written as "base64:" and the key in base64, or, if
// they are longer, as "sha256:" and their digest in hexadecimal. Keys that begin like one of these are
// written in base64 too, so that no two keys have the same value. A peer is written as its IP
// address, as "text:" and its text, or as "none".
//
// # Answers
//
// The overall code OK admits the call, also if a single descriptor is over its limit: a server in
// shadow mode answers so. OVER_LIMIT rejects it. The time until a retry is duration_until_reset of the
// descriptor that is over its limit, or the period of the limit if the server sends none.
//
// These are errors, for which ratelimit has failure modes ([ratelimit.Shared]); they never admit a
// call by themselves:
//
//   - a status of gRPC, and no answer within the timeout;
//   - an unknown code, of the answer or of one descriptor;
//   - more or fewer statuses than descriptors;
//   - OVER_LIMIT without a descriptor that is over its limit;
//   - a descriptor for which the server has no limit, unless it is unlimited by the server's
//     configuration or [Config.AdmitUnlimited] is set;
//   - another limit than the one that was sent.
//
// # What the protocol lacks
//
//   - A server takes the hits of the descriptors that are within their limits even if another one is
//     over. The reference server does so, and it also counts requests that are over their limit. With
//     rlsserver a request takes all or none.
//   - [ratelimit.Interceptor.Charge] takes what a request takes. Whether a server counts a request for
//     more permits than there are is up to it: rlsserver does with ChargeRejected.
//   - Permits are given back only with [Config.NegativeHits]. Otherwise they are lost, without an
//     error.
//   - A demand for no permits has a hits_addend of 0, which old servers count as 1.
//
// A store has no goroutines and no state but the connection.
package ratelimitrls
