package hauberk

import "slices"

// orderReason says why it matters that one phase runs inside another, and not outside.
type orderReason struct {
	outer, inner []Phase // nil for all
	client       bool    // on clients; else on servers
	why          string
}

// orderReasons are tried in their order. Orders that are conventions alone have none.
var orderReasons = []orderReason{ //nolint:gochecknoglobals // never written
	{outer: []Phase{PhaseFault}, client: true, why: "it does not see the faults"},
	{outer: []Phase{PhaseFault}, why: "it does not see the faults"},

	{
		outer: []Phase{PhaseRetry}, inner: []Phase{PhaseRequestID}, client: true,
		why: "each attempt has another request id",
	},
	{
		outer: []Phase{PhaseRetry}, inner: []Phase{PhaseDeadline}, client: true,
		why: "each attempt gets the whole time, and nothing bounds the waits between them",
	},
	{
		outer: []Phase{PhaseRetry}, inner: []Phase{PhaseCache}, client: true,
		why: "each attempt asks the cache, joins another flight or gets another idempotency key",
	},
	{
		outer: []Phase{PhaseBreaker}, inner: []Phase{PhaseRetry}, client: true,
		why: "it counts calls after all their attempts, which go on while it would reject further ones",
	},
	{
		outer: []Phase{PhaseAuthn}, inner: []Phase{PhaseRetry}, client: true,
		why: "all attempts have the token of the first, also one that has expired or was rejected",
	},
	{
		outer: []Phase{PhaseLimit, PhaseConcurrency}, inner: []Phase{PhaseRetry}, client: true,
		why: "it counts calls, and not the attempts that the server has to serve",
	},
	{
		inner: []Phase{PhaseCache}, client: true,
		why: "calls that are answered from memory pass it as well",
	},
	{
		outer: []Phase{PhaseAuthn}, inner: []Phase{PhaseBreaker}, client: true,
		why: "it gets a token for calls that an open circuit rejects",
	},
	{
		outer: []Phase{PhaseLimit, PhaseConcurrency}, inner: []Phase{PhaseBreaker}, client: true,
		why: "calls that an open circuit rejects take its permits",
	},
	{
		outer: []Phase{PhaseLimit, PhaseConcurrency}, inner: []Phase{PhaseAuthn}, client: true,
		why: "calls that have no token take its permits",
	},
	{
		outer: []Phase{PhaseConcurrency}, inner: []Phase{PhaseLimit}, client: true,
		why: "calls that the limit rejects take its slots",
	},
	{outer: []Phase{PhaseErrors}, why: "the inner one sees errors without the code that clients receive"},
	{outer: []Phase{PhaseAudit}, inner: observing, why: "the inner one does not see that a record fails"},
	{outer: []Phase{PhaseRecovery}, inner: observing, why: "a panic has no status yet when it passes the inner one"},
	{inner: []Phase{PhaseDeadline}, client: true, why: "what it does is not within the deadline"},
	{inner: []Phase{PhaseDeadline}, why: "what it does is not within the deadline"},

	{
		outer: []Phase{PhaseCache}, inner: []Phase{PhaseAuthn, PhaseAuthz, PhaseLimit},
		why: "it answers callers that the inner one would reject",
	},
	{outer: []Phase{PhaseAuthz}, inner: []Phase{PhaseAuthn}, why: "its rules see no identity"},
	{
		inner: []Phase{
			PhaseServing, PhaseCoarseLimit, PhaseVersion, PhaseAuthn, PhaseField, PhaseAuthz, PhaseLimit,
			PhaseConcurrency,
		},
		why: "it works for calls that the inner one rejects",
	},

	{
		outer: observing, inner: []Phase{PhaseRequestID, PhaseTracing},
		client: true, why: "what it records lacks what the inner one adds to a call",
	},
	{
		outer: observing, inner: []Phase{PhaseRequestID, PhaseTracing},
		why: "what it records lacks what the inner one adds to a call",
	},
	{
		outer: shaping, inner: []Phase{PhaseRequestID, PhaseTracing, PhaseMetrics, PhaseLogging, PhaseAudit},
		client: true, why: "calls that it rejects or answers are not recorded",
	},
	{
		outer: shaping, inner: []Phase{PhaseRequestID, PhaseTracing, PhaseMetrics, PhaseLogging, PhaseAudit},
		why: "calls that it rejects or answers are not recorded",
	},
}

// shaping are the phases of interceptors that can end calls.
var shaping = []Phase{ //nolint:gochecknoglobals // never written
	PhaseServing, PhaseCoarseLimit, PhaseDeadline, PhaseVersion, PhaseCache, PhaseRetry, PhaseBreaker, PhaseAuthn,
	PhaseField, PhaseAuthz, PhaseLimit, PhaseConcurrency, PhaseValidate,
}

// observing are the phases of interceptors that record the outcome of calls.
var observing = []Phase{ //nolint:gochecknoglobals // never written
	PhaseTracing, PhaseMetrics, PhaseLogging, PhaseAudit,
}

// reasonFor returns why outer usually runs inside inner, after a colon, or "".
func reasonFor(side Side, outer, inner Phase) string {
	in := func(list []Phase, p Phase) bool { return list == nil || slices.Contains(list, p) }
	for _, r := range orderReasons {
		if r.client == (side == ClientSide) && in(r.outer, outer) && in(r.inner, inner) {
			return ": " + r.why
		}
	}
	return ""
}
