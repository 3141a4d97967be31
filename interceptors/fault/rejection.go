package fault

import (
	"cmp"
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// The reasons of injected statuses ([hauberk.Reason]), on both sides.
const (
	// ReasonAborted: the call was aborted, and the rule has no other reason.
	ReasonAborted = "FAULT_INJECTED"
	// ReasonDropped: the single request or response of the call was dropped.
	ReasonDropped = "FAULT_MESSAGE_DROPPED"
)

const name = "fault"

// abort records and returns the status of an aborted call.
func (in *injection) abort(c *chosen) error {
	in.x.counts[aborted].Add(1)
	a := c.Abort
	reason := cmp.Or(a.Reason, ReasonAborted)
	return in.fail(a.Code, reason, cmp.Or(a.Message, "Fault injected"), fmt.Sprintf("rule %d: abort", c.index))
}

// lost records and returns the status of a call whose single message was dropped.
func (in *injection) lost(r *rule) error {
	return in.fail(codes.Unavailable, ReasonDropped, "Fault injected: message lost",
		fmt.Sprintf("rule %d: message dropped", r.index))
}

// fail returns an error that is no Rejection: retries and breakers treat it as one of the
// server.
func (in *injection) fail(code codes.Code, reason, message, rule string) error {
	in.call.Decide(hauberk.Decision{Interceptor: name, Rule: rule, Verdict: hauberk.Rejected, Reason: reason})
	r := hauberk.Reject(code, reason, message)
	r.Domain = in.call.Method().Service()
	return r.GRPCStatus().Err()
}

// The kinds of faults that are counted.
const (
	delayed = iota
	aborted
	dropped
	duplicated
	messageDelayed
	skipped
	kinds
)

// Measurements returns how many faults were injected: see [hauberk.Chain.Measurements].
func (x *Interceptor) Measurements() []hauberk.Measurement {
	all := make([]hauberk.Measurement, 0, kinds+1)
	for kind, label := range []string{"delay", "abort", "drop", "duplicate", "message_delay"} {
		all = append(all, hauberk.Measurement{
			Name: "fault_injected_total", Help: "Faults that were injected, by kind.", Counter: true,
			LabelName: "kind", LabelValue: label, Value: float64(x.counts[kind].Load()),
		})
	}
	return append(all,
		hauberk.Measurement{
			Name: "fault_skipped_total", Counter: true, Value: float64(x.counts[skipped].Load()),
			Help: "Calls that got no faults because of MaxActive.",
		},
		hauberk.Measurement{
			Name: "fault_active", Value: float64(x.active.Load()), Help: "Calls with faults that are in flight.",
		})
}
