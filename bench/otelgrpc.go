package main

import (
	"context"
	"net"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// The cost of tracing, compared with otelgrpc. otelgrpc is a stats handler: the calls
// below pass it the events that grpc-go passes for a unary call, each allocated as in
// grpc-go. Both have the same tracer provider, the same propagator and the same metadata.
// otelgrpc's metrics are off.

var (
	traceLocal  net.Addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 50051}
	traceRemote net.Addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40001}
)

// w3cPropagator is the propagator of both.
func w3cPropagator() propagation.TextMapPropagator {
	return propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
}

// discardSpans is a span processor that discards spans.
type discardSpans struct{}

func (discardSpans) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (discardSpans) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (discardSpans) Shutdown(context.Context) error                  { return nil }
func (discardSpans) ForceFlush(context.Context) error                { return nil }

// traceProvider returns a provider that samples all traces or none.
func traceProvider(sampled bool) *sdktrace.TracerProvider {
	sampler := sdktrace.NeverSample()
	if sampled {
		sampler = sdktrace.AlwaysSample()
	}
	return sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler), sdktrace.WithSpanProcessor(discardSpans{}))
}

// newTracing returns the interceptor under measurement.
func newTracing(sampled bool) hauberk.Interceptor {
	return tracing.New(tracing.Config{}, tracing.WithTracerProvider(traceProvider(sampled)))
}

// tracedContext returns the context of a call on a server, with the trace of its caller.
func tracedContext() context.Context {
	ctx := grpc.NewContextWithServerTransportStream(context.Background(), nullStream{})
	ctx = peer.NewContext(ctx, &peer.Peer{Addr: traceRemote, LocalAddr: traceLocal})
	return metadata.NewIncomingContext(ctx, tracedMetadata())
}

func tracedMetadata() metadata.MD {
	return metadata.Pairs("user-agent", "bench", ":authority", "localhost", "content-type", "application/grpc",
		"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
}

// unaryHandler returns the handler of the unary method as a server runs it, behind a
// chain or interceptors of grpc-go.
func unaryHandler(chain *hauberk.Chain, own ...grpc.UnaryServerInterceptor) func(ctx context.Context) error {
	var r registry
	var srv grpc.ServiceRegistrar = &r
	if chain != nil {
		srv = chain.Registrar(&r)
	}
	testpb.RegisterTestServiceServer(srv, fixedService{})
	handler, dec := r.desc.Methods[0].Handler, func(any) error { return nil }
	var interceptor grpc.UnaryServerInterceptor
	if len(own) > 0 {
		interceptor = chained(own)
	}
	return func(ctx context.Context) error {
		_, err := handler(r.impl, ctx, dec, interceptor)
		return err
	}
}

// tracedServerCall returns a unary call on a server behind some interceptors.
func tracedServerCall(interceptors ...hauberk.Interceptor) func() error {
	handle, ctx := unaryHandler(chainOf(interceptors...)), tracedContext()
	return func() error { return handle(ctx) }
}

// bareServerCall runs the handler alone.
func bareServerCall() func() error {
	handle, ctx := unaryHandler(nil), tracedContext()
	return func() error { return handle(ctx) }
}

// otelgrpcOptions give otelgrpc the settings of newTracing.
func otelgrpcOptions(provider *sdktrace.TracerProvider) []otelgrpc.Option {
	return []otelgrpc.Option{
		otelgrpc.WithTracerProvider(provider), otelgrpc.WithPropagators(w3cPropagator()),
		otelgrpc.WithMeterProvider(metricnoop.NewMeterProvider()),
	}
}

// otelgrpcServerCall returns a unary call on a server with otelgrpc's stats handler.
func otelgrpcServerCall(sampled bool) func() error { return otelgrpcServerCallWith(sampled) }

// otelgrpcServerCallWith also has interceptors of grpc-go, the first outermost.
func otelgrpcServerCallWith(sampled bool, own ...grpc.UnaryServerInterceptor) func() error {
	h := otelgrpc.NewServerHandler(otelgrpcOptions(traceProvider(sampled))...)
	handle, base, md := unaryHandler(nil, own...), tracedContext(), tracedMetadata()
	return func() error {
		begin := time.Now()
		ctx := h.TagRPC(base, &stats.RPCTagInfo{FullMethodName: testpb.TestService_Unary_FullMethodName})
		h.HandleRPC(ctx, &stats.InHeader{
			FullMethod: testpb.TestService_Unary_FullMethodName,
			RemoteAddr: traceRemote, LocalAddr: traceLocal, Header: md,
		})
		h.HandleRPC(ctx, &stats.Begin{BeginTime: begin})
		h.HandleRPC(ctx, &stats.InPayload{RecvTime: begin})
		err := handle(ctx)
		h.HandleRPC(ctx, &stats.OutHeader{})
		h.HandleRPC(ctx, &stats.OutPayload{SentTime: begin})
		h.HandleRPC(ctx, &stats.OutTrailer{})
		h.HandleRPC(ctx, &stats.End{BeginTime: begin, EndTime: time.Now(), Error: err})
		return err
	}
}

// tracedClientCall returns a unary call on a client behind some interceptors.
func tracedClientCall(interceptors ...hauberk.Interceptor) func() error {
	return clientCall(chainOf(interceptors...), hauberk.Unary)
}

// bareClientCall calls on a connection without interceptors.
func bareClientCall() func() error { return clientCall(nil, hauberk.Unary) }

// otelgrpcClientCall returns a unary call on a client with otelgrpc's stats
// handler.
func otelgrpcClientCall(sampled bool) func() error {
	conn := &statsConn{handler: otelgrpc.NewClientHandler(otelgrpcOptions(traceProvider(sampled))...)}
	return unaryOn(conn)
}

// statsConn is stubConn with a stats handler.
type statsConn struct {
	stubConn

	handler stats.Handler
}

// Invoke passes the handler the events that grpc-go passes it for a unary call.
func (c *statsConn) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	begin := time.Now()
	ctx = c.handler.TagRPC(ctx, &stats.RPCTagInfo{FullMethodName: method})
	c.handler.HandleRPC(ctx, &stats.Begin{Client: true, BeginTime: begin})
	c.handler.HandleRPC(ctx, &stats.OutHeader{
		Client: true, FullMethod: method, RemoteAddr: traceLocal, LocalAddr: traceRemote,
	})
	c.handler.HandleRPC(ctx, &stats.OutPayload{Client: true, SentTime: begin})
	err := c.stubConn.Invoke(ctx, method, req, reply, opts...)
	c.handler.HandleRPC(ctx, &stats.InHeader{Client: true})
	c.handler.HandleRPC(ctx, &stats.InPayload{Client: true, RecvTime: begin})
	c.handler.HandleRPC(ctx, &stats.InTrailer{Client: true})
	c.handler.HandleRPC(ctx, &stats.End{Client: true, BeginTime: begin, EndTime: time.Now(), Error: err})
	return err
}
