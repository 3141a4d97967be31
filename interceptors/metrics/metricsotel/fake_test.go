package metricsotel_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// recorder is a MeterProvider whose data points a test reads.
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

// instrument contains the collected data of an instrument.
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

// filled returns the index of the bucket of each measurement.
func filled(counts []uint64) (buckets []int) {
	for i, n := range counts {
		for range n {
			buckets = append(buckets, i)
		}
	}
	return buckets
}

// text formats attributes without the name and the target of the test service.
func text(set attribute.Set) string {
	words := make([]string, 0, set.Len())
	for _, kv := range set.ToSlice() {
		words = append(words, strings.TrimPrefix(string(kv.Key), "grpc.")+"="+kv.Value.String())
	}
	slices.Sort(words)
	return strings.NewReplacer("hauberk.test.v1.TestService/", "", " target=passthrough:///bufconn", "").Replace(strings.Join(words, " "))
}

// points returns the data points of an instrument.
func (r *recorder) points(t testing.TB, name string) map[string]string {
	t.Helper()
	return r.collect(t)[name].points
}

// chainOf returns a chain.
func chainOf(t testing.TB, interceptors ...hauberk.Interceptor) *hauberk.Chain {
	t.Helper()
	chain, err := hauberk.New(interceptors...)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// countingOf returns a chain that counts bytes.
func countingOf(t testing.TB, interceptors ...hauberk.Interceptor) *hauberk.Chain {
	t.Helper()
	return hauberk.Must(hauberk.Config{CountBytes: true}.New(interceptors...))
}

// served returns a function that serves one call of a kind through a chain, on the calling
// goroutine.
func served(chain *hauberk.Chain, kind hauberk.Kind, backend *hauberktest.Backend) func() error {
	serve, ctx := hauberktest.Direct{Kind: kind, Service: backend}.Server(chain), context.Background()
	return func() error { return serve(ctx) }
}

// called returns a function that makes one unary call through a chain.
func called(chain *hauberk.Chain, c hauberktest.Conn, opts ...grpc.CallOption) func(method string) error {
	through := chain.ClientConn(c)
	ctx, req, resp := context.Background(), new(testpb.Request), new(testpb.Response)
	return func(method string) error { return through.Invoke(ctx, method, req, resp, opts...) }
}
