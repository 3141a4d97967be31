// Package fault injects faults into calls, on servers and clients: delays, aborts, and messages that
// are dropped, duplicated or delayed. It is for tests of timeouts, retries and circuit breakers.
//
//	chain, err := hauberk.New(retries, breakers, fault.New(fault.Config{Seed: 1, Rules: []fault.Rule{
//		{Methods: []string{"shop.v1.Cart/*"}, Percentage: 10, Abort: &fault.Abort{Code: codes.Unavailable}},
//	}}))
//
// Put it innermost: on a client inside of retries and breakers, on a server around the handler.
// A chain with it says so: [hauberk.Chain.Lint] and Explain return a warning with the rules, and it is
// logged with package log/slog when the chain is attached ([hauberk.Declaration.Warning]). A
// configuration without a rule is an error, and so is a rule without an effect.
//
// # Rules
//
// A rule matches calls by method and request metadata. Percentage of them get its faults. All rules
// that match apply, in their order: delays add up, and the first abort ends the call. At most
// [Config].MaxActive calls get faults at a time; further ones get none.
//
//	fault                  server                            client
//	Delay                  before the request is read        before the request is sent
//	Abort                  the handler does not run          nothing is sent
//	Abort.AfterMessages    in place of a later message       in place of a later message
//	Messages               of a direction that streams: each message; of a single one: see below
//
// A delay ends with the context of the call, and the call with the status for that. An aborted call
// has the status of the [Abort], with google.rpc.ErrorInfo. The error is not a [hauberk.Rejection],
// since those are never retried, and do not count for breakers: an abort is to work as a failure of
// the server, on a client too. All aborts, lost messages and delays of calls are recorded
// ([hauberk.Call.Decisions]) and counted ([Interceptor.Measurements]). In this process errors.Is
// does not find a fault; [hauberk.Reason] does, on both sides.
//
// # Messages
//
// Of a direction that streams, a dropped message does not arrive, a delayed one holds up those after
// it, and a duplicate arrives twice. Only a message that this side sends can be duplicated: requests on a
// client, responses on a server.
//
// A method without streaming in a direction has exactly one message, and gRPC has no call without it.
// So a call whose single request or response is dropped ends with UNAVAILABLE and [ReasonDropped],
// as if its connection was lost:
//
//   - of a dropped request the handler does not run;
//   - of a dropped response the handler has run. If a retry executes the call again, that shows
//     whether it does harm. With fault on the server a client retries such a call. With fault on the
//     client, inside of the retry, the response header has arrived, which commits the call: only
//     retry.Config.RetryAfterHeader repeats it.
//
// A single message is never duplicated.
//
// # Repetition
//
// With the same [Config].Seed the n-th call that a rule matches always gets the same faults, with the
// same delays; and so does the m-th request and the m-th response of it. Calls of other rules, and
// messages of the other direction, change nothing. If calls are concurrent, the order in which they
// arrive decides which of them is the n-th; how many of the first n calls get faults stays the same.
// MaxActive makes faults depend on time. Without a Seed, one is chosen: see [Interceptor.Seed] and
// the warning.
package fault
