package ratelimit

import (
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/quota"
)

// Headers are response headers with which a server reports quotas to its clients. They are
// those of the limit of which the smallest part remains. They are in the header of calls that send
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

// headers are the headers of one call.
type headers struct {
	x *Interceptor
	s outcome
}

func headersOf(x *Interceptor, s *outcome) headers { return headers{x, *s} }

// Send passes the headers to set.
func (h headers) Send(call *hauberk.Call, set func(*hauberk.Call, metadata.MD) error) error {
	return set(call, h.metadata())
}

func (h headers) metadata() metadata.MD {
	of := h.s.limit.policy()
	var pairs []string
	if h.x.config.Headers&RateLimit != 0 {
		policies := make([]quota.Policy, len(h.x.limits))
		for i := range h.x.limits {
			policies[i] = h.x.limits[i].policy()
		}
		pairs = append(pairs, quota.RateLimit(policies, of, h.s.Remaining, h.s.ResetAfter)...)
	}
	if h.x.config.Headers&XRateLimit != 0 {
		pairs = append(pairs, quota.XRateLimit(of, h.s.Remaining, h.s.ResetAfter)...)
	}
	return metadata.Pairs(pairs...)
}

// policy describes the limit to clients.
func (l *limit) policy() quota.Policy {
	return quota.Policy{Name: l.config.By.Name(), Permits: l.config.Limit, Per: l.config.Per}
}

// report puts the headers into the trailer of a rejected call.
func (x *Interceptor) report(call *hauberk.Call, s *outcome) {
	if x.config.Headers != NoHeaders && s.limit != nil && call.Side() == hauberk.ServerSide && !call.DryRun() {
		_ = headersOf(x, s).Send(call, (*hauberk.Call).SetTrailer) // the call is over: no one needs it
	}
}
