package metricsotel_test

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsotel"
)

// pair returns a client's chain with Calls and Attempts.
func pair(between ...hauberk.Interceptor) func(m *metricsotel.Interceptor) []hauberk.Interceptor {
	return func(m *metricsotel.Interceptor) []hauberk.Interceptor {
		return append(append([]hauberk.Interceptor{m.Calls()}, between...), m.Attempts())
	}
}

const serviceConfig = `{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.001s",
	"maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`

// same returns comparisons without differences.
func same() []comparison {
	entered := make(chan struct{}, 1)
	waiting := func() *hauberktest.Backend {
		return &hauberktest.Backend{Handle: func(ctx context.Context, _ hauberktest.Stream) error {
			select { // the case "abandoned" does not receive from entered
			case entered <- struct{}{}:
			case <-ctx.Done():
			}
			<-ctx.Done()
			return ctx.Err()
		}}
	}
	return []comparison{
		{name: "ok"},
		{name: "several calls", call: func(c *caller) {
			for range 3 {
				c.do(c.t.Context(), "a", strings.Repeat("b", 3000), "c")
			}
		}},
		{name: "compressed", call: func(c *caller) {
			c.with(c.t.Context(), hauberktest.FullMethod(c.kind), []string{strings.Repeat("zip", 1000)},
				grpc.StaticMethod(), grpc.UseCompressor(gzip.Name))
		}},
		{name: "not by generated code", call: generic},
		{name: "error", backend: failing(codes.NotFound)},
		{name: "unknown method", kinds: sending, call: func(c *caller) {
			c.with(c.t.Context(), "/hauberk.test.v1.TestService/Nothing", []string{}, grpc.StaticMethod())
		}},
		{name: "unknown service", kinds: sending, call: func(c *caller) {
			c.with(c.t.Context(), "/no.Such/Thing", []string{}, grpc.StaticMethod())
		}},
		{name: "rejected on the server", inside: inside{server: []hauberk.Interceptor{reject}}, call: (*caller).quiet},
		{name: "answered on the server", inside: inside{server: []hauberk.Interceptor{answer}}, call: (*caller).quiet},
		{name: "rejected on the client, calls and attempts", around: pair(reject)},
		{name: "answered on the client, calls and attempts", around: pair(answer)},
		{name: "retried, calls and attempts", backend: flaky, around: pair(retries)},
		{name: "hedged, calls and attempts", backend: together, around: pair(hedge), kinds: []hauberk.Kind{hauberk.Unary}},
		{name: "cancelled", backend: waiting, call: func(c *caller) {
			ctx, cancel := context.WithCancel(c.t.Context())
			defer cancel()
			c.until(ctx, entered, cancel)
		}},
		{name: "deadline", backend: waiting, call: func(c *caller) {
			ctx, cancel := context.WithTimeout(c.t.Context(), 250*time.Millisecond)
			defer cancel()
			c.until(ctx, entered, func() {})
		}},
		{name: "abandoned", kinds: streams, backend: waiting, call: func(c *caller) {
			ctx, cancel := context.WithCancel(c.t.Context())
			defer cancel()
			if err := c.open(ctx).SendMsg(request); err != nil {
				c.t.Fatal(err)
			}
		}},
		{name: "server gone", call: func(c *caller) {
			c.Server.Stop()
			c.do(c.t.Context())
		}},
		{name: "too large for the server", serve: []grpc.ServerOption{grpc.MaxRecvMsgSize(3)}},
		{name: "too large for the client", call: func(c *caller) {
			c.with(c.t.Context(), hauberktest.FullMethod(c.kind), nil, grpc.StaticMethod(), grpc.MaxCallRecvMsgSize(3))
		}},
	}
}

// Subsets of the kinds.
var (
	streams = []hauberk.Kind{hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}
	sending = []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi}  // any number of requests
	single  = []hauberk.Kind{hauberk.Unary, hauberk.ClientStream} // with one response
)

// until makes a call and calls end when the request is sent and the handler runs.
func (c *caller) until(ctx context.Context, entered <-chan struct{}, end func()) {
	c.t.Helper()
	if c.kind == hauberk.Unary {
		go func() {
			<-entered
			end()
		}()
		c.do(ctx)
		return
	}
	stream := c.open(ctx)
	if err := stream.SendMsg(request); err != nil {
		c.t.Error(err)
	}
	<-entered
	end()
	if err := stream.RecvMsg(new(testpb.Response)); err == nil {
		c.t.Error("the client received a response")
	}
}

// open opens a stream like generated code.
func (c *caller) open(ctx context.Context) grpc.ClientStream {
	c.t.Helper()
	desc := &grpc.StreamDesc{ClientStreams: c.kind.ClientStreams(), ServerStreams: c.kind.ServerStreams()}
	c.running.Add(1)
	stream, err := c.Conn.NewStream(ctx, desc, hauberktest.FullMethod(c.kind), grpc.StaticMethod(),
		grpc.OnFinish(func(error) { c.running.Done() }))
	if err != nil {
		c.t.Fatal(err)
	}
	return stream
}
