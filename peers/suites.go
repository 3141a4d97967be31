package main

import (
	"slices"
	"time"

	"github.com/hauberk-rpc/hauberk/peers/behind"
)

// slowTests are tests of grpc-go that wait for time to pass, for more than a half
// second each, or that are about connections.
const slowTests = "^Test$/^(FlowControlLogicalRace|ContextDeadlineNotIgnored|StreamsQuotaRecovery|CancelNoIO|" +
	"RetryStreaming|Cancel|RPCWaitsForResolver|StreamingRPCWithTimeoutInServiceConfigRecv|TimeoutOnDeadServer|" +
	"NonFailFastRPCSucceedOnTimeoutCreds|ExceedMaxStreamsLimit|FailFast|MaxCallAttempts|" +
	"ClientSettingsFloodCloseConn|ServerMaxHeaderListSizeClientUserViolation|" +
	"BalancerSwitch.*|.*GoAway.*|Graceful.*|ConfigurableWindowSize.*|CZ.*|SubConn.*|HealthCheck.*|RoundRobin.*)$"

// suites returns all suites, or a part that takes a few minutes.
func suites(w *workspace, short bool) []suite {
	servers := behind.Chains() // gateways are in front of servers
	both := slices.DeleteFunc(behind.Chains(), func(name string) bool {
		return name == behind.Gateway || name == behind.Frames
	})
	grpcTests := &goTests{w: w, peer: "grpc", patterns: []string{"./test"}, timeout: 9 * time.Minute}
	middleware := &goTests{w: w, peer: "middleware", patterns: []string{"./..."}, timeout: 5 * time.Minute}
	if short {
		grpcTests.skip = slowTests
		return []suite{
			{"grpc-go", []string{behind.Empty, behind.Builtin}, grpcTests},
			{
				"conformance-server",
				[]string{behind.Hooks, behind.Gateway, behind.Frames},
				&conformance{w: w, side: "server"},
			},
			{"conformance-client", []string{behind.Hooks}, &conformance{w: w, side: "client"}},
		}
	}
	return []suite{
		{"grpc-go", both, grpcTests},
		{"interop-server", servers, &interop{w: w, side: "server"}},
		{"interop-client", both, &interop{w: w, side: "client"}},
		{"conformance-server", servers, &conformance{w: w, side: "server"}},
		{"conformance-client", both, &conformance{w: w, side: "client"}},
		{"go-grpc-middleware", both, middleware},
	}
}
