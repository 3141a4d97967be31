package rlsserver_test

import (
	"context"
	"fmt"
	"time"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/rlsserver"
)

// Each user has two requests a minute, and "batch" one.
func Example() {
	limits, err := rlsserver.New(rlsserver.Config{Domains: []rlsserver.Domain{{
		Name: "shop",
		Descriptors: []rlsserver.Descriptor{
			{Key: "user", Limit: &rlsserver.Limit{Permits: 2, Per: time.Minute}},
			{Key: "user", Value: "batch", Limit: &rlsserver.Limit{Permits: 1, Per: time.Minute}},
		},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, user := range []string{"alice", "alice", "alice", "batch", "batch"} {
		resp, err := limits.ShouldRateLimit(context.Background(), &rlsv3.RateLimitRequest{
			Domain: "shop",
			Descriptors: []*ratelimitv3.RateLimitDescriptor{{
				Entries: []*ratelimitv3.RateLimitDescriptor_Entry{{Key: "user", Value: user}},
			}},
		})
		fmt.Println(user, resp.GetOverallCode(), resp.GetStatuses()[0].GetLimitRemaining(), err)
	}
	// Output:
	// alice OK 1 <nil>
	// alice OK 0 <nil>
	// alice OVER_LIMIT 0 <nil>
	// batch OK 0 <nil>
	// batch OVER_LIMIT 0 <nil>
}
