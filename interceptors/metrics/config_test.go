package metrics_test

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

func TestConfigErrors(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name   string
		config metrics.Config
		option metrics.Option
		want   string
	}{
		{"methods", metrics.Config{MaxMethods: -1}, nil, "MaxMethods is -1; want a number above 0, or 0 for 1024"},
		{"reasons", metrics.Config{MaxReasons: -2}, nil, "MaxReasons is -2; want a number above 0, or 0 for 256"},
		{"zero bucket", metrics.Config{Buckets: []time.Duration{0}}, nil, "Buckets[0] is 0s; want durations above 0"},
		{
			"order",
			metrics.Config{Buckets: []time.Duration{ms, 3 * ms, 2 * ms}},
			nil,
			"Buckets[1] is 3ms and Buckets[2] is 2ms; want ascending bounds",
		},
		{"twice", metrics.Config{Buckets: []time.Duration{ms, ms}}, nil, "Buckets[0] is 1ms and Buckets[1] is 1ms"},
		{"label sets", metrics.Config{MaxLabelSets: -1}, nil, "MaxLabelSets is -1; want a number above 0, or 0 for 256"},
		{"label series", metrics.Config{MaxLabelSeries: -1}, nil, "MaxLabelSeries is -1; want a number above 0, or 0 for 8192"},
		{"label without a function", metrics.Config{}, metrics.WithLabel("a", nil), `WithLabel("a"): the function is nil`},
		{"label without a name", metrics.Config{}, metrics.WithLabel("", noLabel), `the name is ""; want letters, digits and "_"`},
		{"label of Prometheus", metrics.Config{}, metrics.WithLabel("le", noLabel), `the name is "le"; want`},
		{"label of gRPC", metrics.Config{}, metrics.WithLabel("grpc_code", noLabel), `the name is "grpc_code"; want`},
		{"reserved label", metrics.Config{}, metrics.WithLabel("__a", noLabel), `the name is "__a"; want`},
		{"label starting with a digit", metrics.Config{}, metrics.WithLabel("1a", noLabel), `the name is "1a"; want`},
		{"exemplars", metrics.Config{}, metrics.WithExemplars(nil), "WithExemplars: the function is nil"},
		{"clock", metrics.Config{}, metrics.WithClock(nil), "WithClock: the function is nil"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var options []metrics.Option
			if test.option != nil {
				options = append(options, test.option)
			}
			m := metrics.New(test.config, options...)
			_, err := hauberk.New(m)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("hauberk.New: %v, want %q", err, test.want)
			}
			if s := m.Snapshot(); len(s.Server.Methods) != 0 || s.Client.Rejections == nil {
				t.Errorf("the snapshot is %+v", s)
			}
		})
	}
}

func noLabel(context.Context, *hauberk.Call) string { return "" }

func TestLabelTwice(t *testing.T) {
	_, err := hauberk.New(metrics.New(metrics.Config{}, metrics.WithLabel("a_1", noLabel), metrics.WithLabel("a_1", noLabel)))
	if err == nil || !strings.Contains(err.Error(), `the name "a_1" is used twice; want each label once`) {
		t.Errorf("hauberk.New: %v", err)
	}
}

func TestZeroInterceptor(t *testing.T) {
	_, err := hauberk.New(new(metrics.Interceptor))
	if err == nil || !strings.Contains(err.Error(), "make it with metrics.New") {
		t.Errorf("hauberk.New of a zero Interceptor: %v", err)
	}
}

func TestDeclares(t *testing.T) {
	d := metrics.New(metrics.Config{}).Declare()
	if d.Name != "metrics" || d.Phase != hauberk.PhaseMetrics || d.Decides || d.Authenticates || d.Err != nil {
		t.Errorf("%+v", d)
	}
}

// The package does not import an exporter.
func TestImportsNoBackend(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(out)) {
		if strings.Contains(dep, "prometheus") || strings.Contains(dep, "opentelemetry") {
			t.Errorf("the package imports %s", dep)
		}
	}
}
