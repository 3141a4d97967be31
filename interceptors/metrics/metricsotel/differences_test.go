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

// different are comparisons in which the two do not record the same.
func different() []comparison {
	return []comparison{
		{name: "undefined code", backend: failing(42), differences: []difference{{
			cause: "a code that gRPC does not define is UNKNOWN, as gRPC says: numbers would make the values unbounded",
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
			name: "left out by a filter", options: []metricsotel.Option{metricsotel.WithMethodFilter(never)},
			theirs: opentelemetry.MetricsOptions{MethodAttributeFilter: never},
			differences: []difference{{
				cause: "the filter holds for clients too; grpc-go's is for servers",
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
				cause: "grpc-go has no way to record the names of methods that are not in generated code",
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
			dial: []grpc.DialOption{grpc.WithCompressor(unknownEncoding{})}, //nolint:staticcheck // one connection's, unlike those of package encoding
			differences: []difference{{
				cause: "grpc-go answers a call in an unknown encoding itself, before any chain",
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
				cause: "the one response of a method is encoded after the chain has returned, which cannot know that it fails",
				kinds: single,
				lines: relabelled("METHOD status=RESOURCE_EXHAUSTED", "METHOD status=OK",
					"server.call.duration method=%: 1",
					"server.call.rcvd method=%: 1 sum 7 in [1]",
					"server.call.sent method=%: 1 sum 0 in [0]"),
			}},
		},
		{name: "rejected on the client", inside: inside{client: []hauberk.Interceptor{reject}}, differences: []difference{{
			cause: "in one part the metrics cannot see whether a call they let in became an attempt",
			lines: []string{
				"client.attempt.duration method=METHOD status=PERMISSION_DENIED: 1, grpc-go's none",
				"client.attempt.started method=METHOD: 1, grpc-go's none",
			},
		}}},
		{
			name: "retried, in one part", backend: flaky, inside: inside{client: []hauberk.Interceptor{retries}},
			differences: []difference{{
				cause: "in one part, outside retries, a call is taken for one attempt; its sizes are those of the last",
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
				cause: "grpc-go's own retries are inside one attempt of the chain, whose sizes are those of all of them",
				lines: []string{
					"client.attempt.duration method=METHOD status=UNAVAILABLE: none, grpc-go's 2",
					"client.attempt.rcvd method=METHOD status=UNAVAILABLE: none, grpc-go's 2 sum 0 in [0 0]",
					"client.attempt.sent method=METHOD status=OK: 1 sum 21 in [1], grpc-go's 1 sum 7 in [1]",
					"client.attempt.sent method=METHOD status=UNAVAILABLE: none, grpc-go's 2 sum 14 in [1 1]",
					"client.attempt.started method=METHOD: 1, grpc-go's 3",
				},
			}},
		},
		{name: "done before", call: cancelled, around: pair(), differences: []difference{withoutAttempt}},
		{name: "connection closed", call: closed, around: pair(), differences: []difference{withoutAttempt}},
		{
			name: "ended while the client sends", kinds: sending,
			inside: inside{server: []hauberk.Interceptor{reject}}, call: sendOn,
			differences: []difference{{
				cause: "grpc-go takes an attempt whose end SendMsg is the first to tell of, by io.EOF, for OK",
				lines: relabelled("METHOD status=OK", "METHOD status=PERMISSION_DENIED",
					"client.attempt.duration method=%: 1",
					"client.attempt.rcvd method=%: 1 sum 0 in [0]",
					"client.attempt.sent method=%: 1 sum 0 in [0]"),
			}},
		},
	}
}

var withoutAttempt = difference{
	cause: "an attempt that the chain makes counts, also if grpc-go ends it before it begins one",
	lines: []string{
		"client.attempt.duration method=METHOD status=CANCELLED: 1, grpc-go's none",
		"client.attempt.started method=METHOD: 1, grpc-go's none",
	},
}

// relabelled are lines for measurements that grpc-go has under one value and this
// package under another.
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

// sendOn sends messages without bytes until the stream is over.
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

func (unknownEncoding) Type() string { return "unheard-of" }

func (unknownEncoding) Do(w io.Writer, p []byte) error {
	_, err := w.Write(p)
	return err
}
