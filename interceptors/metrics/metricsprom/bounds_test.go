package metricsprom_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
)

// The number of series is bounded, for any number of names that a peer sends.
func TestSeriesAreBounded(t *testing.T) {
	const limit = 10
	i := 0
	m := metrics.New(metrics.Config{MaxMethods: limit, MaxReasons: limit, MaxLabelSets: 1, Decisions: true, CountBytes: true},
		metrics.WithLabel("tenant", func(context.Context, *hauberk.Call) string { return fmt.Sprint(i) }))
	for ; i < 2000; i++ {
		call(t, fmt.Sprintf("/s/m%d", i), nil, m, hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
			return hauberk.Reject(codes.Code(i), fmt.Sprintf("R_%d", i), "no")
		}))
	}
	for _, f := range gather(t, metricsprom.NewClientCollector(m)) {
		most := limit + 2 // one has a label that is not Other
		if f.GetName() == "grpc_client_handled_total" {
			most += 2 * 16 // Other, with each code
		}
		if n := len(f.GetMetric()); n > most {
			t.Errorf("%d series of %s, want %d at most", n, f.GetName(), most)
		}
	}
}

// FuzzNames checks that a scrape is valid for all names that a peer can choose.
func FuzzNames(f *testing.F) {
	for _, seed := range [][3]string{
		{"/shop.v1.Cart/Get", "LIMITED", "limits"},
		{"/a/b/c", "", ""},
		{"/\xff/m", "\xfe", "\xfd"},
		{"/unknown/unknown", "other", "other"},
		{"/other/other", "unknown", "unknown"},
		{"/s/\n{}\"\\", "\"} 1\ngrpc_x 2", "\x00"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, method, reason, interceptor string) {
		m := metrics.New(metrics.Config{MaxMethods: 1, MaxReasons: 2, MaxLabelSets: 1, Decisions: true},
			metrics.WithLabel("first", func(context.Context, *hauberk.Call) string { return reason }),
			metrics.WithLabel("second", func(context.Context, *hauberk.Call) string { return interceptor }),
			metrics.WithExemplars(func(context.Context, *hauberk.Call) map[string]string {
				return map[string]string{reason: interceptor, "trace_id": method}
			}))
		native := metricsprom.NewClientCollector(m, metricsprom.WithNative(metricsprom.Native{}))
		decide := hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
			call.Decide(hauberk.Decision{Interceptor: interceptor, Verdict: hauberk.Rejected, Reason: reason})
			return hauberk.Reject(codes.Aborted, reason, "no")
		})
		for _, name := range []string{method, "/unknown/unknown", "/other/other", method} {
			call(t, name, nil, m, decide)
		}
		for _, reason := range []string{reason, strings.Repeat("R", 64)} {
			call(t, method, remote(t, reason), m)
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		if _, err := parser.TextToMetricFamilies(strings.NewReader(text(t, gather(t, metricsprom.NewClientCollector(m))))); err != nil {
			t.Error(err)
		}
		_ = openMetrics(t, gather(t, native))
	})
}

// remote returns a server's status with a reason.
func remote(t *testing.T, reason string) error {
	t.Helper()
	info := &errdetails.ErrorInfo{Reason: strings.ToValidUTF8(reason, "\uFFFD")} // a status has only valid UTF-8
	st, err := status.New(codes.Aborted, "no").WithDetails(info)
	if err != nil {
		t.Fatal(err)
	}
	return st.Err()
}
