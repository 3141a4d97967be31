package admin

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
	"github.com/hauberk-rpc/hauberk/internal/codename"
	"github.com/hauberk-rpc/hauberk/internal/logtext"
)

// Bounds of what is kept of calls, most of which callers can choose.
const (
	maxCalls     = 256
	maxDecisions = 32  // of one call
	maxText      = 256 // bytes of a text
)

// Call is a call that an interceptor has rejected, or would have rejected in shadow.
type Call struct {
	Time      time.Time  `json:"time"`
	Side      string     `json:"side"` // "server", or "client" for a call to the upstream
	Method    string     `json:"method"`
	Code      string     `json:"code"`
	RequestID string     `json:"request_id,omitempty"`
	Peer      string     `json:"peer,omitempty"`
	Client    string     `json:"client,omitempty"` // the address, if a trusted proxy is between
	Subject   string     `json:"subject,omitempty"`
	Tenant    string     `json:"tenant,omitempty"`
	Decisions []Decision `json:"decisions"`
}

// Decision is a decision about a call.
type Decision struct {
	Interceptor string `json:"interceptor"`
	Verdict     string `json:"verdict"`
	Rule        string `json:"rule,omitempty"`
	Reason      string `json:"reason,omitempty"`
	Shadow      bool   `json:"shadow,omitempty"`
}

// Calls is an interceptor that keeps the last rejected calls. It changes no call. The zero value is ready. It is safe
// for concurrent use.
type Calls struct {
	mu    sync.Mutex
	ring  []Call
	next  int // where the next call is put once ring is full
	total uint64
}

// Declare returns the name.
func (*Calls) Declare() hauberk.Declaration { return hauberk.Declaration{Name: "admin"} }

// Intercept calls next, and keeps the call if an interceptor has rejected it.
func (c *Calls) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return hauberk.Observe(ctx, call, next, func(err error) { c.ended(call, err) })
}

func (c *Calls) ended(call *hauberk.Call, err error) {
	if slices.ContainsFunc(call.Decisions().Recorded(), func(d hauberk.Decision) bool {
		return d.Verdict == hauberk.Rejected
	}) {
		c.add(callOf(call, err))
	}
}

func callOf(call *hauberk.Call, err error) Call {
	rejected := Call{
		Time: time.Now().UTC(), Side: call.Side().String(), Method: bounded(call.Method().FullName()),
		Code: codename.Of(hauberk.CodeOf(err)), Decisions: decisionsOf(call.Decisions().All()),
	}
	if p := call.Peer(); p != nil && p.Addr != nil {
		rejected.Peer = bounded(p.Addr.String())
	}
	if client := call.ClientAddr(); client.IsValid() {
		rejected.Client = client.String()
	}
	if id, ok := requestid.Key.Get(call); ok {
		rejected.RequestID = bounded(id)
	}
	if id, ok := hauberk.IdentityKey.Get(call); ok && id != nil {
		rejected.Subject, rejected.Tenant = bounded(id.Subject), bounded(id.Tenant)
	}
	return rejected
}

// decisionsOf returns the decisions: all rejections first if there are too many.
func decisionsOf(all []hauberk.Decision) []Decision {
	if len(all) > maxDecisions {
		slices.SortStableFunc(all, func(a, b hauberk.Decision) int { return int(b.Verdict) - int(a.Verdict) })
		all = all[:maxDecisions]
	}
	kept := make([]Decision, len(all))
	for i, d := range all {
		kept[i] = Decision{
			Interceptor: bounded(d.Interceptor), Verdict: d.Verdict.String(), Rule: bounded(d.Rule),
			Reason: bounded(d.Reason), Shadow: d.Shadow,
		}
	}
	return kept
}

func bounded(text string) string { return logtext.Cut(text, maxText) }

func (c *Calls) add(call Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total++
	if len(c.ring) < maxCalls {
		c.ring = append(c.ring, call)
		return
	}
	c.ring[c.next] = call
	c.next = (c.next + 1) % maxCalls
}

// recent is the answer of /calls.
type recent struct {
	Total uint64 `json:"total"` // since the start
	Calls []Call `json:"calls"` // newest first
}

// recent returns the calls, newest first.
func (c *Calls) recent() recent {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := append(slices.Clone(c.ring[c.next:]), c.ring[:c.next]...)
	slices.Reverse(all)
	return recent{c.total, append([]Call{}, all...)}
}
