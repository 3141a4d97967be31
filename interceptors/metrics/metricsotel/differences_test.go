package metricsotel_test

import (
	"context"
	"errors"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats/opentelemetry"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsotel"
)

// different returns comparisons with differences.
func different() []comparison {
	return []comparison{
		{name: "undefined code", backend: failing(42), differences: []difference{{
			cause: "a code that gRPC does not define is UNKNOWN, as gRPC specifies: numbers would make the values unbounded",
			lines: relabelled("METHOD status=CODE(42)", "METHOD status=UNKNOWN",
				"client.attempt.duration method=%: 1",
				"client.attempt.rcvd method=%: 1 sum 0 in [0]",
				"client.attempt.sent method=%: 1 sum 7 in [1]",
				"client.call.duration method=%: 1",
				"server.call.duration method=%: 1",
				"server.call.rcvd method=%: 1 sum 7 in [1]",
				"server.call.sent method=%: 1 sum 0 in [0]"),
		}}},
		{
			name: "hidden by a filter", options: []metricsotel.Option{metricsotel.WithMethodFilter(never)},
			theirs: opentelemetry.MetricsOptions{MethodAttributeFilter: never},
			differences: []difference{{
				cause: "the filter applies to clients too; grpc-go's applies to servers only",
				lines: append(relabelled("METHOD", "other", "client.attempt.started method=%: 1"),
					relabelled("METHOD status=OK", "other status=OK",
						"client.attempt.duration method=%: 1",
						"client.attempt.rcvd method=%: 1 sum 12 in [1]",
						"client.attempt.sent method=%: 1 sum 7 in [1]",
						"client.call.duration method=%: 1")...),
			}},
		},
		{
			name: "generic methods", call: generic,
			options: []metricsotel.Option{metricsotel.WithGenericMethods(func(string) bool { return true })},
			differences: []difference{{
				cause: "grpc-go cannot record the names of methods that are not in generated code",
				lines: append(relabelled("other", "METHOD", "client.attempt.started method=%: 1"),
					relabelled("other status=OK", "METHOD status=OK",
						"client.attempt.duration method=%: 1",
						"client.attempt.rcvd method=%: 1 sum 12 in [1]",
						"client.attempt.sent method=%: 1 sum 7 in [1]",
						"client.call.duration method=%: 1")...),
			}},
		},
		{name: "malformed method", kinds: []hauberk.Kind{hauberk.Unary}, call: malformed},
		{
			name: "unknown encoding", kinds: sending, call: (*caller).quiet,
			dial: []grpc.DialOption{grpc.WithCompressor(unknownEncoding{})}, //nolint:staticcheck // it applies to one connection, unlike those of package encoding
			differences: []difference{{
				cause: "grpc-go answers a call with an unknown encoding before any chain",
				lines: []string{
					"server.call.duration method=METHOD status=UNIMPLEMENTED: none, grpc-go's 1",
					"server.call.rcvd method=METHOD status=UNIMPLEMENTED: none, grpc-go's 1 sum 0 in [0]",
					"server.call.sent method=METHOD status=UNIMPLEMENTED: none, grpc-go's 1 sum 0 in [0]",
					"server.call.started method=METHOD: none, grpc-go's 1",
				},
			}},
		},
		{
			name: "response that cannot be sent", serve: []grpc.ServerOption{grpc.MaxSendMsgSize(3)},
			differences: []difference{{
				cause: "the one response of a method is encoded after the chain has returned",
				kinds: single,
				lines: relabelled("METHOD status=RESOURCE_EXHAUSTED", "METHOD status=OK",
					"server.call.duration method=%: 1",
					"server.call.rcvd method=%: 1 sum 7 in [1]",
					"server.call.sent method=%: 1 sum 0 in [0]"),
			}},
		},
		{name: "rejected on the client", inside: inside{client: []hauberk.Interceptor{reject}}, differences: []difference{{
			cause: "one interceptor does not see whether a call became an attempt",
			lines: []string{
				"client.attempt.duration method=METHOD status=PERMISSION_DENIED: 1, grpc-go's none",
				"client.attempt.started method=METHOD: 1, grpc-go's none",
			},
		}}},
		{
			name: "retried, one interceptor", backend: flaky, inside: inside{client: []hauberk.Interceptor{retries}},
			differences: []difference{{
				cause: "one interceptor outside retries records a call as one attempt with the sizes of the last",
				lines: []string{
					"client.attempt.duration method=METHOD status=UNAVAILABLE: none, grpc-go's 2",
					"client.attempt.rcvd method=METHOD status=UNAVAILABLE: none, grpc-go's 2 sum 0 in [0 0]",
					"client.attempt.sent method=METHOD status=UNAVAILABLE: none, grpc-go's 2 sum 14 in [1 1]",
					"client.attempt.started method=METHOD: 1, grpc-go's 3",
				},
			}},
		},
		{
			name: "retried by grpc-go", backend: flaky,
			dial: []grpc.DialOption{grpc.WithDefaultServiceConfig(serviceConfig)},
			differences: []difference{{
				cause: "grpc-go's own retries run inside one attempt of the chain, which has the sizes of all",
				lines: []string{
					"client.attempt.duration method=METHOD status=UNAVAILABLE: none, grpc-go's 2",
					"client.attempt.rcvd method=METHOD status=UNAVAILABLE: none, grpc-go's 2 sum 0 in [0 0]",
					"client.attempt.sent method=METHOD status=OK: 1 sum 21 in [1], grpc-go's 1 sum 7 in [1]",
					"client.attempt.sent method=METHOD status=UNAVAILABLE: none, grpc-go's 2 sum 14 in [1 1]",
					"client.attempt.started method=METHOD: 1, grpc-go's 3",
				},
			}},
		},
		{name: "cancelled before the call", call: cancelled, around: pair(), differences: []difference{withoutAttempt}},
		{name: "connection closed", call: closed, around: pair(), differences: []difference{withoutAttempt}},
		{
			name: "ended while the client sends", kinds: sending,
			inside: inside{server: []hauberk.Interceptor{reject}}, call: sendOn,
			differences: []difference{{
				cause: "grpc-go records OK if a SendMsg with io.EOF is the first to report the end of an attempt",
				lines: relabelled("METHOD status=OK", "METHOD status=PERMISSION_DENIED",
					"client.attempt.duration method=%: 1",
					"client.attempt.rcvd method=%: 1 sum 0 in [0]",
					"client.attempt.sent method=%: 1 sum 0 in [0]"),
			}},
		},
	}
}

var withoutAttempt = difference{
	cause: "an attempt of the chain counts, even if grpc-go ends it before beginning one",
	lines: []string{
		"client.attempt.duration method=METHOD status=CANCELLED: 1, grpc-go's none",
		"client.attempt.started method=METHOD: 1, grpc-go's none",
	},
}

// relabelled returns lines for data points that grpc-go and this package record with different
// values.
func relabelled(theirs, ours string, measurements ...string) (lines []string) {
	for _, m := range measurements {
		place, value, _ := strings.Cut(m, ": ")
		lines = append(lines,
			strings.Replace(place, "%", theirs, 1)+": none, grpc-go's "+value,
			strings.Replace(place, "%", ours, 1)+": "+value+", grpc-go's none")
	}
	return lines
}

func never(string) bool { return false }

func generic(c *caller) { c.with(c.t.Context(), hauberktest.FullMethod(c.kind), nil) }

func malformed(c *caller) {
	_ = c.Client.Invoke(c.t.Context(), "/nothing", request, new(testpb.Response), grpc.StaticMethod())
}

func cancelled(c *caller) {
	ctx, cancel := context.WithCancel(c.t.Context())
	cancel()
	c.do(ctx)
}

func closed(c *caller) {
	_ = c.Client.Close()
	c.do(c.t.Context())
}

// sendOn sends empty messages until the stream has ended.
func sendOn(c *caller) {
	stream := c.open(c.t.Context())
	var err error
	for err == nil {
		err = stream.SendMsg(&testpb.Request{})
	}
	if !errors.Is(err, io.EOF) {
		c.t.Error(err)
	}
	if err := stream.RecvMsg(new(testpb.Response)); err == nil {
		c.t.Error("the call was rejected")
	}
}

// unknownEncoding is a compressor that servers do not have.
type unknownEncoding struct{}

func (unknownEncoding) Type() string { return "unknown-encoding" }

func (unknownEncoding) Do(w io.Writer, p []byte) error {
	_, err := w.Write(p)
	return err
}
