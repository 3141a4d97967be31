package ratelimitrls_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitrls"
)

// take asks a service for a number of permits of two limits.
func take(t *testing.T, s *service, config ratelimitrls.Config, permits int) ([]ratelimit.Decision, error) {
	t.Helper()
	q := open(t, s, config, perMinute("user"), perMinute("method"))
	decisions := make([]ratelimit.Decision, 2)
	demands := []ratelimit.Demand{{Permits: permits, Key: []byte("alice")}, {Limit: 1, Permits: permits, Key: []byte("list")}}
	return decisions, q.Take(t.Context(), long, demands, decisions)
}

// The decisions are those of the answer.
func TestAnswers(t *testing.T) {
	unlimited := &rlsv3.RateLimitResponse_DescriptorStatus{Code: ok, LimitRemaining: math.MaxUint32}
	fine := ratelimit.Decision{OK: true, Remaining: 7, ResetAfter: 3 * time.Second}
	rejected := ratelimit.Decision{RetryAfter: 9 * time.Second, ResetAfter: 9 * time.Second}
	withoutReset := state(over, 0, 0)
	withoutReset.DurationUntilReset = nil
	tests := []struct {
		name    string
		resp    *rlsv3.RateLimitResponse
		config  ratelimitrls.Config
		permits int
		want    [2]ratelimit.Decision
	}{
		{name: "OK", resp: answer(ok, state(ok, 7, 3*time.Second), state(ok, 7, 3*time.Second)), want: [2]ratelimit.Decision{fine, fine}},
		{name: "over", resp: answer(over, state(ok, 7, 3*time.Second), state(over, 0, 9*time.Second)), want: [2]ratelimit.Decision{fine, rejected}},
		{
			name: "no reset", resp: answer(over, state(ok, 7, 3*time.Second), withoutReset),
			want: [2]ratelimit.Decision{fine, {RetryAfter: time.Minute, ResetAfter: time.Minute}},
		},
		{
			name: "a reset of 0", resp: answer(over, state(ok, 7, 3*time.Second), state(over, 0, 0)),
			want: [2]ratelimit.Decision{fine, {RetryAfter: time.Minute, ResetAfter: time.Minute}},
		},
		{
			name: "more than the limit", permits: 101, resp: answer(over, state(over, 100, time.Second), state(over, 100, time.Second)),
			want: [2]ratelimit.Decision{
				{RetryAfter: ratelimit.Never, Remaining: 100, ResetAfter: time.Second},
				{RetryAfter: ratelimit.Never, Remaining: 100, ResetAfter: time.Second},
			},
		},
		{
			name: "a server in shadow mode", resp: answer(ok, state(ok, 7, 3*time.Second), state(over, 0, 9*time.Second)),
			want: [2]ratelimit.Decision{fine, {OK: true, ResetAfter: 9 * time.Second}},
		},
		{name: "unlimited", resp: answer(ok, state(ok, 7, 3*time.Second), unlimited), want: [2]ratelimit.Decision{fine, {OK: true, Remaining: 100}}},
		{
			name: "no limit, admitted", config: ratelimitrls.Config{AdmitUnlimited: true},
			resp: answer(ok, state(ok, 7, 3*time.Second), &rlsv3.RateLimitResponse_DescriptorStatus{Code: ok}),
			want: [2]ratelimit.Decision{fine, {OK: true, Remaining: 100}},
		},
		{
			name: "another limit of the server", config: ratelimitrls.Config{ServerLimits: true},
			resp: answer(ok, state(ok, 7, 3*time.Second), &rlsv3.RateLimitResponse_DescriptorStatus{Code: ok, CurrentLimit: current(3, 5)}),
			want: [2]ratelimit.Decision{fine, {OK: true}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := take(t, always(test.resp), test.config, max(test.permits, 1))
			if err != nil || [2]ratelimit.Decision(got) != test.want {
				t.Errorf("%+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

// What is no answer is an error, never an admission.
func TestInvalidAnswers(t *testing.T) {
	fine := func() *rlsv3.RateLimitResponse_DescriptorStatus { return state(ok, 7, 3*time.Second) }
	changed := func(change func(s *rlsv3.RateLimitResponse_DescriptorStatus)) *rlsv3.RateLimitResponse {
		s := fine()
		change(s)
		return answer(ok, fine(), s)
	}
	limit := func(l *rlsv3.RateLimitResponse_RateLimit) *rlsv3.RateLimitResponse {
		return changed(func(s *rlsv3.RateLimitResponse_DescriptorStatus) { s.CurrentLimit = l })
	}
	hours := current(100, rlsv3.RateLimitResponse_RateLimit_YEAR)
	hours.UnitMultiplier = wrapperspb.UInt32(math.MaxUint32)
	seconds := current(100, rlsv3.RateLimitResponse_RateLimit_MINUTE)
	seconds.UnitMultiplier = wrapperspb.UInt32(2)
	tests := []struct {
		name string
		resp *rlsv3.RateLimitResponse
		want string
	}{
		{"empty", answer(unknown), "it has the code UNKNOWN"},
		{"an unknown code", answer(unknown, fine(), fine()), "it has the code UNKNOWN"},
		{"a code of a later version", answer(7, fine(), fine()), "it has the code 7"},
		{"no statuses", answer(ok), "it has 0 statuses for 2 descriptors"},
		{"one status", answer(ok, fine()), "it has 1 statuses for 2 descriptors"},
		{"three statuses", answer(over, fine(), fine(), state(over, 0, 1)), "it has 3 statuses for 2 descriptors"},
		{"an unknown status", changed(func(s *rlsv3.RateLimitResponse_DescriptorStatus) { s.Code = unknown }), "a status has the code UNKNOWN (descriptor 2)"},
		{"an empty status", answer(ok, fine(), &rlsv3.RateLimitResponse_DescriptorStatus{}), "a status has the code UNKNOWN"},
		{"over without a reason", answer(over, fine(), fine()), "it is OVER_LIMIT, but no descriptor is"},
		{"an unknown descriptor", answer(ok, fine(), &rlsv3.RateLimitResponse_DescriptorStatus{Code: ok}), "the server has no limit"},
		{"another limit", limit(current(1000, rlsv3.RateLimitResponse_RateLimit_MINUTE)), "a limit of 1000 in 1m0s in place of the 100 in 1m0s"},
		{"another unit", limit(current(100, rlsv3.RateLimitResponse_RateLimit_SECOND)), "a limit of 100 in 1s in place"},
		{"no unit", limit(current(100, 0)), "a limit of 100 in 0s in place"},
		{"a multiplier", limit(seconds), "a limit of 100 in 2m0s in place"},
		{"a great multiplier", limit(hours), "in place"},
		{"a negative reset", changed(func(s *rlsv3.RateLimitResponse_DescriptorStatus) { s.DurationUntilReset = durationpb.New(-1) }), "duration_until_reset"},
		{"an invalid reset", changed(func(s *rlsv3.RateLimitResponse_DescriptorStatus) {
			s.DurationUntilReset = &durationpb.Duration{Seconds: 1, Nanos: -1}
		}), "duration_until_reset"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := take(t, always(test.resp), ratelimitrls.Config{}, 1); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v; want an error with %q", err, test.want)
			}
		})
	}
}

// A status of gRPC is an error.
func TestStatus(t *testing.T) {
	s := &service{answer: func(context.Context, *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
		return nil, status.Error(codes.NotFound, "no limits")
	}}
	_, err := take(t, s, ratelimitrls.Config{}, 1)
	wantCode(t, err, codes.NotFound)
}

// A server that does not answer is an error after the timeout; the end of the call ends the request
// before.
func TestLate(t *testing.T) {
	s := &service{answer: func(ctx context.Context, _ *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
		<-ctx.Done()
		return answer(ok, state(ok, 1, 0)), nil
	}}
	q := open(t, s, ratelimitrls.Config{}, perMinute("user"))
	err := q.Take(t.Context(), 10*time.Millisecond, make([]ratelimit.Demand, 1), make([]ratelimit.Decision, 1))
	if err == nil || !strings.Contains(err.Error(), "did not answer within 10ms") {
		t.Errorf("%v; want an error after the timeout", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s = &service{answer: func(ctx context.Context, _ *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	q = open(t, s, ratelimitrls.Config{}, perMinute("user"))
	err = q.Take(ctx, long, make([]ratelimit.Demand, 1), make([]ratelimit.Decision, 1))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v; want that of the call", err)
	}
}
