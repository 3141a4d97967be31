// Package policyreplay decides calls of a log by a policy, and reports the calls on which the verdict is another one
// than the recorded one. `hauberk replay` runs it.
//
// # The log
//
// [Read] reads the records that package logging writes in JSON (slog.JSONHandler) when a call of a server ends, with
// the names of OpenTelemetry. Other lines are counted and left out. For an exact replay log all calls, without
// sampling and rules, and what the policies read of calls:
//
//	server:
//	  - use: logging
//	    identity: {on: true, claims: [plan, roles]}  # claims that rules and keys use
//	    metadata: {request: true}                   # also the user-agent, for version
//
// logging must be outside of what rejects calls: a call that an outer entry rejects has no record.
//
// # The replay
//
// The calls are made in the order in which they began, on a clock that shows the time at which each began. Each entry
// of the server that can admit or reject calls runs, in the order of the policy, with the quotas that the calls before
// have left. An admitted call is one that reaches the handler; the handler returns the recorded status.
//
//   - authn is not asked again: the caller of the record is who authn has verified, and a call that authn has rejected
//     is rejected as recorded. So changed settings of authn make no difference. A call of a public method has no
//     identity, since authn does not check its credential: if the method is not public any more, the call cannot be
//     decided.
//   - concurrency, deadline, ext_authz, fault, idempotency, limits of messages, bytes and charges, and limits in Redis
//     and in a rate limit service depend on what no log has. They admit all calls, and [Report.NotReplayed] names
//     them. A recorded rejection by such an interceptor cannot be decided.
//   - Entries in the mode shadow do not run.
//
// A call cannot be decided if an entry reads what its record does not have, and no outer entry rejects the call. That
// is an identity, a claim, a key of the metadata that is missing, redacted or cut, the address of the client, the
// certificate, or the message, which no record has. Inner limits may have counted such a call. Until all permits of
// such a limit have returned, calls that reach it cannot be decided either.
package policyreplay
