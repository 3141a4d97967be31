package rlsserver

import (
	"math"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/internal/quota"
)

const (
	codeOK   = rlsv3.RateLimitResponse_OK
	codeOver = rlsv3.RateLimitResponse_OVER_LIMIT
)

// answer returns the response for demands that are decided.
func answer(st *state, demands []demand) *rlsv3.RateLimitResponse {
	resp := &rlsv3.RateLimitResponse{
		OverallCode: codeOK, Statuses: make([]*rlsv3.RateLimitResponse_DescriptorStatus, len(demands)),
	}
	for i := range demands {
		s := statusOf(&demands[i])
		if resp.Statuses[i] = s; s.GetCode() == codeOver {
			resp.OverallCode = codeOver
		}
	}
	resp.ResponseHeadersToAdd = headers(st, demands)
	return resp
}

// statusOf returns the status of a demand.
func statusOf(d *demand) *rlsv3.RateLimitResponse_DescriptorStatus {
	s := &rlsv3.RateLimitResponse_DescriptorStatus{Code: codeOK}
	switch {
	case d.unlimited:
		s.LimitRemaining = math.MaxUint32
		return s
	case d.blocked:
		s.CurrentLimit = currentLimit("", 0, d.limit.Per)
	case d.rule == nil:
		return s
	default:
		s.CurrentLimit = currentLimit(d.rule.Name, d.rule.Permits, d.rule.Per)
		s.LimitRemaining = uint32(min(max(d.Remaining, 0), math.MaxUint32))
	}
	reset := d.ResetAfter
	if !d.OK && (d.blocked || d.enforced()) {
		s.Code = codeOver
		if d.RetryAfter != ratelimit.Never {
			reset = d.RetryAfter
		}
	}
	s.DurationUntilReset = durationpb.New(reset)
	return s
}

// units are the units of limits in answers, the longest first.
var units = []struct { //nolint:gochecknoglobals // never written
	length time.Duration
	unit   rlsv3.RateLimitResponse_RateLimit_Unit
}{
	{day, rlsv3.RateLimitResponse_RateLimit_DAY},
	{time.Hour, rlsv3.RateLimitResponse_RateLimit_HOUR},
	{time.Minute, rlsv3.RateLimitResponse_RateLimit_MINUTE},
	{time.Second, rlsv3.RateLimitResponse_RateLimit_SECOND},
}

// currentLimit describes a limit. The unit is UNKNOWN if the period has no whole seconds.
func currentLimit(name string, permits int, per time.Duration) *rlsv3.RateLimitResponse_RateLimit {
	l := &rlsv3.RateLimitResponse_RateLimit{Name: name, RequestsPerUnit: uint32(permits)}
	for _, u := range units {
		if per%u.length != 0 || per/u.length > math.MaxUint32 {
			continue
		}
		l.Unit = u.unit
		if n := per / u.length; n > 1 {
			l.UnitMultiplier = wrapperspb.UInt32(uint32(n))
		}
		break
	}
	return l
}

// headers returns the headers for the client: those of the first limit that is exceeded, or else of
// the one of which the smallest part remains.
func headers(st *state, demands []demand) []*corev3.HeaderValue {
	if st.config.Headers == ratelimit.NoHeaders {
		return nil
	}
	var policies []quota.Policy
	var of *demand
	part := func(d *demand) float64 { return float64(d.Remaining) / float64(d.rule.identity.quota.Burst) }
	for i := range demands {
		d := &demands[i]
		if !d.enforced() {
			continue
		}
		policies = append(policies, d.rule.policy())
		if of == nil || of.OK && (!d.OK || part(d) < part(of)) {
			of = d
		}
	}
	if of == nil {
		return nil
	}
	var pairs []string
	if st.config.Headers&ratelimit.RateLimit != 0 {
		pairs = append(pairs, quota.RateLimit(policies, of.rule.policy(), of.Remaining, of.ResetAfter)...)
	}
	if st.config.Headers&ratelimit.XRateLimit != 0 {
		pairs = append(pairs, quota.XRateLimit(of.rule.policy(), of.Remaining, of.ResetAfter)...)
	}
	all := make([]*corev3.HeaderValue, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, &corev3.HeaderValue{Key: pairs[i], Value: pairs[i+1]})
	}
	return all
}
