package serviceconfig_test

import (
	"testing"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// BenchmarkQuiet is a call that succeeds, with everything that a service config can set for it.
func BenchmarkQuiet(b *testing.B) {
	const policy = `"retryPolicy": {"maxAttempts": 3, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 2,
		"retryableStatusCodes": ["UNAVAILABLE"]}`
	for name, config := range map[string]string{
		"nothing":      `{}`,
		"retryPolicy":  `{"methodConfig": [{"name": [{}], ` + policy + `}]}`,
		"throttling":   `{"methodConfig": [{"name": [{}], ` + policy + `}], "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}}`,
		"timeout":      `{"methodConfig": [{"name": [{}], "timeout": "1s"}]}`,
		"call options": `{"methodConfig": [{"name": [{}], "waitForReady": true, "maxRequestMessageBytes": 9, "maxResponseMessageBytes": 9}]}`,
	} {
		b.Run(name, func(b *testing.B) {
			conn := chain(b, parse(b, config)).ClientConn(hauberktest.Conn{})
			req, resp, opts := new(testpb.Request), new(testpb.Response), []grpc.CallOption(nil)
			b.ReportAllocs()
			for b.Loop() {
				if err := conn.Invoke(b.Context(), testpb.TestService_Unary_FullMethodName, req, resp, opts...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
