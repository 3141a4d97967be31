package main

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	prom "github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
)

// promWorld is a server and a client with metrics on both ends.
type promWorld struct {
	server   *grpc.Server
	conn     *grpc.ClientConn
	registry *prom.Registry
	entered  chan struct{}
	sent     chan struct{}
	ended    chan struct{} // receives an element for each call that has ended on the client; may be nil
}

func newPromWorld() *promWorld {
	return &promWorld{registry: prom.NewRegistry(), entered: make(chan struct{}), sent: make(chan struct{})}
}

// promContestant makes a server and a client for a scenario.
type promContestant func(t *testing.T, s promScenario, set promSetup) *promWorld

// promSetup contains the settings of both.
type promSetup struct {
	buckets []float64 // in seconds; nil for the default
	tenant  bool      // a label of that name, from the request metadata
	// prefixed adds a namespace, a subsystem and a constant label to all metrics.
	prefixed bool
}

var promConstant = prom.Labels{"cell": "eu1"}

// connect starts the server and connects the client.
func (w *promWorld) connect(t *testing.T, s promScenario, server []grpc.ServerOption, client []grpc.DialOption,
	registrar func(*grpc.Server) grpc.ServiceRegistrar,
) {
	t.Helper()
	lis := bufconn.Listen(1 << 20)
	w.server = grpc.NewServer(server...)
	testpb.RegisterTestServiceServer(registrar(w.server), &hauberktest.Backend{
		Handle: func(ctx context.Context, stream hauberktest.Stream) error {
			if s.handle == nil {
				return hauberktest.Echo(ctx, stream)
			}
			return s.handle(context.WithValue(ctx, enteredKey{}, w.entered), stream)
		},
	})
	stop := hauberktest.Serve(t, w.server, lis)
	conn, err := grpc.NewClient("passthrough:///bufconn", append(client,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	w.conn = conn
	t.Cleanup(func() {
		_ = conn.Close()
		stop()
	})
}

// promTheirs is go-grpc-middleware's provider on a plain grpc-go server and client.
func promTheirs(t *testing.T, s promScenario, set promSetup) *promWorld {
	t.Helper()
	var histogram []prometheus.HistogramOption
	if set.buckets != nil {
		histogram = append(histogram, prometheus.WithHistogramBuckets(set.buckets))
	}
	counters := []prometheus.CounterOption(nil)
	if set.prefixed {
		histogram = append(histogram, prometheus.WithHistogramNamespace("shop"), prometheus.WithHistogramSubsystem("cart"),
			prometheus.WithHistogramConstLabels(promConstant))
		counters = append(counters, prometheus.WithNamespace("shop"), prometheus.WithSubsystem("cart"),
			prometheus.WithConstLabels(promConstant))
	}
	serverOptions := []prometheus.ServerMetricsOption{
		prometheus.WithServerCounterOptions(counters...), prometheus.WithServerHandlingTimeHistogram(histogram...),
	}
	clientOptions := []prometheus.ClientMetricsOption{
		prometheus.WithClientCounterOptions(counters...), prometheus.WithClientHandlingTimeHistogram(histogram...),
	}
	var options []prometheus.Option
	if set.tenant {
		// Theirs takes the names of the histogram's labels from the options before it.
		serverOptions = slices.Insert(serverOptions, 0, prometheus.WithContextLabels("tenant"))
		clientOptions = slices.Insert(clientOptions, 0, prometheus.WithClientContextLabels("tenant"))
		options = append(options, prometheus.WithLabelsFromContext(func(ctx context.Context) prom.Labels {
			return prom.Labels{"tenant": tenantOf(ctx)}
		}))
	}
	server, client := prometheus.NewServerMetrics(serverOptions...), prometheus.NewClientMetrics(clientOptions...)
	w := newPromWorld()
	w.registry.MustRegister(server, client)
	r := promRejecter{s.rejectedOn, w.sent}
	w.connect(t, s, []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(server.UnaryServerInterceptor(options...), r.unaryServer),
		grpc.ChainStreamInterceptor(server.StreamServerInterceptor(options...), r.streamServer),
	}, []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(client.UnaryClientInterceptor(options...), r.unaryClient),
		grpc.WithChainStreamInterceptor(client.StreamClientInterceptor(options...), r.streamClient),
	}, func(srv *grpc.Server) grpc.ServiceRegistrar { return srv })
	return w
}

// promRejecter rejects calls on a side, as an interceptor of grpc-go.
type promRejecter struct {
	side string
	sent <-chan struct{} // closed once a server may reject: the client has sent its messages
}

var errPromRejected = status.Error(codes.PermissionDenied, "no")

func (r promRejecter) on(side string) error {
	if r.side != side {
		return nil
	}
	if side == "server" {
		<-r.sent
	}
	return errPromRejected
}

func (r promRejecter) unaryServer(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := r.on("server"); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func (r promRejecter) streamServer(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if err := r.on("server"); err != nil {
		return err
	}
	return handler(srv, ss)
}

func (r promRejecter) unaryClient(ctx context.Context, method string, req, resp any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if err := r.on("client"); err != nil {
		return err
	}
	return invoke(ctx, method, req, resp, cc, opts...)
}

func (r promRejecter) streamClient(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if err := r.on("client"); err != nil {
		return nil, err
	}
	return open(ctx, desc, cc, method, opts...)
}

// Intercept is the rejecter as an interceptor of Hauberk.
func (r promRejecter) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if err := r.on(call.Side().String()); err != nil {
		return hauberk.Reject(codes.PermissionDenied, "NOT_ALLOWED", "no")
	}
	return next(ctx, call)
}

// promOurs is our collector on a server and a client with chains.
func promOurs(t *testing.T, s promScenario, set promSetup) *promWorld {
	t.Helper()
	var config metrics.Config
	for _, b := range set.buckets {
		config.Buckets = append(config.Buckets, time.Duration(b*float64(time.Second)))
	}
	var options []metrics.Option
	if set.tenant {
		options = append(options, metrics.WithLabel("tenant",
			func(ctx context.Context, _ *hauberk.Call) string { return tenantOf(ctx) }))
	}
	m := metrics.New(config, options...)
	w := newPromWorld()
	w.ended = make(chan struct{}, 1)
	var registerer prom.Registerer = w.registry
	if set.prefixed {
		registerer = prom.WrapRegistererWithPrefix("shop_cart_", prom.WrapRegistererWith(promConstant, registerer))
	}
	registerer.MustRegister(metricsprom.NewServerCollector(m), metricsprom.NewClientCollector(m))
	server := hauberk.Must(hauberk.New(m, promRejecter{s.rejectedOn, w.sent}))
	client := hauberk.Must(hauberk.New(promSignal(w.ended), m, promRejecter{s.rejectedOn, w.sent}))
	w.connect(t, s, server.ServerOptions(), client.DialOptions(),
		func(srv *grpc.Server) grpc.ServiceRegistrar { return server.Registrar(srv) })
	return w
}

// promSignal reports the end of each call.
func promSignal(ended chan<- struct{}) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		defer func() { ended <- struct{}{} }()
		return next(ctx, call)
	})
}

// exposed makes the call of a scenario and returns the exposed series after it.
func exposed(t *testing.T, contestant promContestant, s promScenario, kind hauberk.Kind, set promSetup) exposition {
	t.Helper()
	w := contestant(t, s, set)
	c := promCaller{conn: w.conn, kind: kind, method: hauberktest.FullMethod(kind), entered: w.entered, sent: w.sent}
	if s.method != "" {
		c.method = s.method
	}
	call := s.call
	if call == nil {
		call = promCallToEnd
	}
	_ = call(metadata.AppendToOutgoingContext(t.Context(), "tenant", "acme"), c) // the test compares the two, not the outcome
	if w.ended != nil {
		<-w.ended
	}
	w.server.GracefulStop()
	return exposeAll(t, w.registry)
}

// tenantOf returns the tenant in the metadata of a call on either side.
func tenantOf(ctx context.Context) string {
	md, ok := metadata.FromIncomingContext(ctx)
	if !ok {
		md, _ = metadata.FromOutgoingContext(ctx)
	}
	return strings.Join(md.Get("tenant"), ",")
}
