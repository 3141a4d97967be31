package metricsotel_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// recorder is a MeterProvider whose measurements a test reads.
type recorder struct {
	*sdk.MeterProvider

	reader *sdk.ManualReader
}

func newRecorder(t testing.TB) *recorder {
	t.Helper()
	reader := sdk.NewManualReader()
	r := &recorder{sdk.NewMeterProvider(sdk.WithReader(reader)), reader}
	t.Cleanup(func() { _ = r.Shutdown(context.Background()) })
	return r
}

// instrument is what was collected of one.
type instrument struct {
	scope, name, unit, description string
	kind                           string
	bounds                         []float64
	points                         map[string]string // by attributes
	sum                            float64           // of all durations, in seconds
}

func (r *recorder) collect(t testing.TB) map[string]instrument {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := r.reader.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	found := make(map[string]instrument)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			i := instrument{
				scope: scope.Scope.Name, name: m.Name, unit: m.Unit, description: m.Description,
				kind: fmt.Sprintf("%T", m.Data), points: make(map[string]string),
			}
			i.read(t, m.Data)
			found[m.Name] = i
		}
	}
	return found
}

func (i *instrument) read(t testing.TB, data metricdata.Aggregation) {
	t.Helper()
	switch data := data.(type) {
	case metricdata.Sum[int64]:
		i.kind += fmt.Sprint(" ", data.Temporality, " monotonic ", data.IsMonotonic)
		for _, p := range data.DataPoints {
			i.points[text(p.Attributes)] = fmt.Sprint(p.Value)
		}
	case metricdata.Histogram[float64]: // of durations
		i.kind += fmt.Sprint(" ", data.Temporality)
		for _, p := range data.DataPoints {
			i.bounds = p.Bounds
			i.points[text(p.Attributes)] = fmt.Sprint(p.Count)
			i.sum += p.Sum
		}
	case metricdata.Histogram[int64]: // of sizes and numbers
		i.kind += fmt.Sprint(" ", data.Temporality)
		for _, p := range data.DataPoints {
			i.bounds = p.Bounds
			i.points[text(p.Attributes)] = fmt.Sprintf("%d sum %d in %v", p.Count, p.Sum, filled(p.BucketCounts))
		}
	default:
		t.Fatalf("%s is a %T", i.name, data)
	}
}

// filled returns the buckets that have something in them.
func filled(counts []uint64) (buckets []int) {
	for i, n := range counts {
		for range n {
			buckets = append(buckets, i)
		}
	}
	return buckets
}

// text writes attributes without what all have alike: the test service's
// name, and its target.
func text(set attribute.Set) string {
	words := make([]string, 0, set.Len())
	for _, kv := range set.ToSlice() {
		words = append(words, strings.TrimPrefix(string(kv.Key), "grpc.")+"="+kv.Value.String())
	}
	slices.Sort(words)
	return strings.NewReplacer("hauberk.test.v1.TestService/", "", " target=passthrough:///bufconn", "").Replace(strings.Join(words, " "))
}

// points returns what was collected of an instrument.
func (r *recorder) points(t testing.TB, name string) map[string]string {
	t.Helper()
	return r.collect(t)[name].points
}

// chainOf makes a chain.
func chainOf(t testing.TB, links ...hauberk.Interceptor) *hauberk.Chain {
	t.Helper()
	chain, err := hauberk.New(links...)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// registry catches the service that a chain registers, so that its handlers can
// be run without a network.
type registry struct {
	desc *grpc.ServiceDesc
	impl any
}

func (r *registry) RegisterService(desc *grpc.ServiceDesc, impl any) { r.desc, r.impl = desc, impl }

// served returns a function that serves one call of a kind behind a chain, on the
// goroutine that calls it.
func served(chain *hauberk.Chain, kind hauberk.Kind, backend *hauberktest.Backend) func() error {
	var r registry
	testpb.RegisterTestServiceServer(chain.Registrar(&r), backend)
	if kind == hauberk.Unary {
		handler, ctx, decode := r.desc.Methods[0].Handler, context.Background(), func(any) error { return nil }
		return func() error {
			_, err := handler(r.impl, ctx, decode, nil)
			return err
		}
	}
	for _, s := range r.desc.Streams {
		if hauberk.KindOf(s.ClientStreams, s.ServerStreams) == kind {
			return func() error { return s.Handler(r.impl, &serverStream{requests: 1}) }
		}
	}
	panic("no method of kind " + kind.String())
}

// serverStream is the stream of a client that sends some requests.
type serverStream struct {
	grpc.ServerStream

	requests int
}

func (s *serverStream) Context() context.Context     { return context.Background() }
func (s *serverStream) SetHeader(metadata.MD) error  { return nil }
func (s *serverStream) SendHeader(metadata.MD) error { return nil }
func (s *serverStream) SetTrailer(metadata.MD)       {}
func (s *serverStream) SendMsg(any) error            { return nil }

func (s *serverStream) RecvMsg(any) error {
	if s.requests == 0 {
		return io.EOF
	}
	s.requests--
	return nil
}

// conn is a connection whose unary calls end at once.
type conn struct{ outcome func(method string) error }

func (c conn) Invoke(_ context.Context, method string, _, _ any, _ ...grpc.CallOption) error {
	if c.outcome == nil {
		return nil
	}
	return c.outcome(method)
}

func (conn) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "conn is for unary calls")
}

// called returns a function that makes one unary call through a chain.
func called(chain *hauberk.Chain, c conn, opts ...grpc.CallOption) func(method string) error {
	through := chain.ClientConn(c)
	ctx, req, resp := context.Background(), new(testpb.Request), new(testpb.Response)
	return func(method string) error { return through.Invoke(ctx, method, req, resp, opts...) }
}
