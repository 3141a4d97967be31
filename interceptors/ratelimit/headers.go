package ratelimit

import (
	"slices"
	"sync"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/quota"
)

// Headers are response headers with which a server reports quotas to its clients. They are
// those of the limit of which the smallest part remains, also if a chain has several limiters with headers.
// They are in the header of calls that send
// a message or succeed, and in the trailer of others, so that the responses of failed calls stay
// Trailers-Only.
type Headers uint8

// The values of Headers.
const (
	NoHeaders Headers = 0
	// RateLimit is "ratelimit-policy" and "ratelimit" of draft-ietf-httpapi-ratelimit-headers-10,
	// such as `"user";q=100;w=60` and `"user";r=42;t=35`: permits, and seconds, rounded up.
	RateLimit Headers = 1
	// XRateLimit is "x-ratelimit-limit", "x-ratelimit-remaining" and "x-ratelimit-reset", in the form
	// that Envoy writes: "100, 100;w=60", "42" and "35".
	XRateLimit Headers = 2
	// AllHeaders is RateLimit and XRateLimit.
	AllHeaders = RateLimit | XRateLimit
)

// headersKey has the headers of a call while its outermost limiter with headers runs. That one sends
// them for all limiters.
var headersKey = hauberk.NewKey[*headers]("ratelimit headers")

// headers are the headers of one call.
type headers struct {
	mu       sync.Mutex // guards what follows
	wanted   Headers
	policies []quota.Policy
	s        outcome
	sent     bool
}

// headersOf returns the headers that the interceptor has to send, or nil. s is its outcome, which an outer
// limiter sends if it has headers too.
func (x *Interceptor) headersOf(call *hauberk.Call, s *outcome) *headers {
	if !x.sendsHeaders(call, s) {
		return nil
	}
	own := new(headers)
	h := headersKey.GetOrSet(call, own)
	if !h.add(x, s) {
		return nil // they were sent before this attempt
	}
	if h != own {
		return nil
	}
	return own
}

// sendsHeaders reports whether clients get an outcome.
func (x *Interceptor) sendsHeaders(call *hauberk.Call, s *outcome) bool {
	return x.config.Headers != NoHeaders && s.limit != nil && call.Side() == hauberk.ServerSide && !call.DryRun()
}

// add adds the outcome of a limiter, unless the headers were sent.
func (h *headers) add(x *Interceptor, s *outcome) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sent {
		return false
	}
	h.wanted |= x.config.Headers
	for i := range x.limits {
		if p := x.limits[i].policy(); !slices.Contains(h.policies, p) {
			h.policies = append(h.policies, p)
		}
	}
	h.s.consider(&demand{limit: s.limit, at: s.at}, s.Decision)
	return true
}

// Send passes the headers to set.
func (h *headers) Send(call *hauberk.Call, set func(*hauberk.Call, metadata.MD) error) error {
	h.mu.Lock()
	md := h.metadata()
	h.mu.Unlock()
	err := set(call, md)
	if err == nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.sent = true
	}
	return err
}

func (h *headers) metadata() metadata.MD {
	of := h.s.limit.policy()
	var pairs []string
	if h.wanted&RateLimit != 0 {
		pairs = append(pairs, quota.RateLimit(h.policies, of, h.s.Remaining, h.s.ResetAfter)...)
	}
	if h.wanted&XRateLimit != 0 {
		pairs = append(pairs, quota.XRateLimit(of, h.s.Remaining, h.s.ResetAfter)...)
	}
	return metadata.Pairs(pairs...)
}

// policy describes the limit to clients.
func (l *limit) policy() quota.Policy {
	return quota.Policy{Name: l.config.By.Name(), Permits: l.config.Limit, Per: l.config.Per}
}

// report puts the headers into the trailer of a rejected call, unless a limiter is to send them.
func (x *Interceptor) report(call *hauberk.Call, s *outcome) {
	if !x.sendsHeaders(call, s) {
		return
	}
	if h, ok := headersKey.Get(call); ok && h.add(x, s) {
		return
	}
	h := new(headers)
	h.add(x, s)
	_ = h.Send(call, (*hauberk.Call).SetTrailer) // the call is over: no one needs it
}
