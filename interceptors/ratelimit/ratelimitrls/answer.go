package ratelimitrls

import (
	"fmt"
	"math"
	"time"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

const (
	ok   = rlsv3.RateLimitResponse_OK
	over = rlsv3.RateLimitResponse_OVER_LIMIT
)

// decide writes the decisions that an answer has.
func (q *quotas) decide(
	resp *rlsv3.RateLimitResponse, demands []ratelimit.Demand, decisions []ratelimit.Decision,
) error {
	overall, statuses := resp.GetOverallCode(), resp.GetStatuses()
	if overall != ok && overall != over {
		return invalid("it has the code %v", overall)
	}
	if len(statuses) != len(demands) {
		return invalid("it has %d statuses for %d descriptors", len(statuses), len(demands))
	}
	rejected := false
	for i, s := range statuses {
		d, err := q.decision(s, &demands[i])
		if err != nil {
			return fmt.Errorf("%w (descriptor %d)", err, i+1)
		}
		rejected = rejected || !d.OK
		if overall == ok && !d.OK { // the server is in shadow mode
			d.OK, d.RetryAfter = true, 0
		}
		decisions[i] = d
	}
	if overall == over && !rejected {
		return invalid("it is OVER_LIMIT, but no descriptor is")
	}
	return nil
}

// decision returns the decision on a demand.
func (q *quotas) decision(
	s *rlsv3.RateLimitResponse_DescriptorStatus, demand *ratelimit.Demand,
) (d ratelimit.Decision, err error) {
	l := &q.limits[demand.Limit]
	code, reset := s.GetCode(), s.GetDurationUntilReset()
	switch {
	case code != ok && code != over:
		return d, invalid("a status has the code %v", code)
	case reset != nil && (!reset.IsValid() || reset.AsDuration() < 0):
		return d, invalid("it has the duration_until_reset %v", reset)
	case s.GetCurrentLimit() != nil:
		if err := l.isObeyed(s.GetCurrentLimit()); err != nil {
			return d, err
		}
	case code == ok && !q.config.AdmitUnlimited && s.GetLimitRemaining() != math.MaxUint32:
		return d, invalid("the server has no limit for the domain and keys")
	case code == ok:
		return ratelimit.Decision{OK: true, Remaining: l.Burst}, nil
	}
	d = ratelimit.Decision{
		OK: code == ok, Remaining: int(s.GetLimitRemaining()), ResetAfter: reset.AsDuration(),
	}
	if !d.OK {
		l.reject(&d, demand.Permits)
	}
	return d, nil
}

// reject sets when the demand of a rejection can be met.
func (l *limit) reject(d *ratelimit.Decision, permits int) {
	if d.ResetAfter == 0 {
		d.ResetAfter = l.Per
	}
	d.RetryAfter = d.ResetAfter
	if l.override != nil && permits > l.Burst {
		d.RetryAfter = ratelimit.Never
	}
}

// isObeyed returns an error if the server has another limit than the one that was sent.
func (l *limit) isObeyed(current *rlsv3.RateLimitResponse_RateLimit) error {
	if l.override == nil {
		return nil
	}
	per := lengths[current.GetUnit()]
	if m := current.GetUnitMultiplier().GetValue(); m > 1 {
		if per > math.MaxInt64/time.Duration(m) {
			return invalid("it has a limit of %d units", m)
		}
		per *= time.Duration(m)
	}
	if current.GetRequestsPerUnit() != l.override.GetRequestsPerUnit() || per != l.Per {
		return invalid("the server has a limit of %d in %v in place of the %d in %v that was sent; "+
			"let it obey the limits of requests, or set ServerLimits",
			current.GetRequestsPerUnit(), per, l.Permits, l.Per)
	}
	return nil
}

// lengths are those of the units of limits in answers.
var lengths = map[rlsv3.RateLimitResponse_RateLimit_Unit]time.Duration{ //nolint:gochecknoglobals // never written
	rlsv3.RateLimitResponse_RateLimit_SECOND: time.Second,
	rlsv3.RateLimitResponse_RateLimit_MINUTE: time.Minute,
	rlsv3.RateLimitResponse_RateLimit_HOUR:   time.Hour,
	rlsv3.RateLimitResponse_RateLimit_DAY:    24 * time.Hour,
	rlsv3.RateLimitResponse_RateLimit_WEEK:   7 * 24 * time.Hour,
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("ratelimitrls: an invalid answer: "+format, args...)
}
