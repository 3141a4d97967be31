// Package decisiontrace returns the decisions on a call to selected callers in a trailer.
//
// A caller requests the trace with the metadata "hauberk-decisions: 1" ([Ask]). If the chain has
// authenticated the caller as one of [Config.Identities], the trailer of the call contains one
// value under "hauberk-decisions", for any outcome of the call. No other caller receives it. The
// value is JSON in printable ASCII, on one line and without spaces:
//
//	{"decisions":[
//	  {"interceptor":"authn","verdict":"allowed"},
//	  {"interceptor":"ratelimit","rule":"10/1s of each user","verdict":"rejected","reason":"RATE_LIMITED"},
//	  {"interceptor":"authz","rule":"...","verdict":"rejected","reason":"NOT_ALLOWED","shadow":true}
//	],"omitted":2}
//
// "rule" and "reason" are absent if they are empty, and "shadow" if the decision was enforced.
// "omitted" is the number of decisions that did not fit. It is absent if it is 0. [Parse] reads
// the value.
//
// # Security
//
// The trace contains rules, which [hauberk.Decision] keeps for operators. List the identities of
// operators, not of customers. A call that the chain has not authenticated has no trace: a call
// that is rejected before authentication, a call of a public method, a call with an
// authenticating interceptor in [hauberk.Shadow], and a call whose token has expired in the
// meantime.
//
// # Order
//
// The interceptor is outermost, outside package requestid, so that the trace contains all
// decisions.
package decisiontrace
