package grafana_test

import (
	"log/slog"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
)

type rule = rulefmt.Rule

// readRules loads alerts.yaml as Prometheus does.
func readRules(t *testing.T) (all []rule) {
	t.Helper()
	data, err := os.ReadFile("alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(data, false, model.UTF8Validation, promql, slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for _, g := range groups.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

var label = regexp.MustCompile(`\$labels\.(\w+)`)

// Each rule queries metrics that the demo exports or that an earlier rule records. Each alert
// has a duration, a severity, a summary and a description.
func TestRules(t *testing.T) {
	rules, all := readRules(t), scraped(t)
	server, end := filled(t, all)
	have := catalogOf(all[len(all)-1])
	server.record(t, rules, end)
	for _, r := range rules {
		t.Run(r.Record+r.Alert, func(t *testing.T) {
			kept, err := have.check(r.Expr)
			if err != nil {
				t.Errorf("%v in %s", err, r.Expr)
			}
			server.query(t, r.Expr, end) // fails if a type is wrong
			if r.Record != "" {
				if numbers(server.query(t, r.Record, end)) == 0 {
					t.Errorf("nothing was recorded")
				}
				have.metrics[r.Record] = kept
				have.metrics[r.Record][model.MetricNameLabel] = true
				return
			}
			summary, description := r.Annotations["summary"], r.Annotations["description"]
			if r.For == 0 || r.Labels["severity"] == "" || summary == "" || description == "" {
				t.Errorf("for %v, labels %v, annotations %v; want all of them", r.For, r.Labels, r.Annotations)
			}
			checkNames(t, summary+description, label, kept)
		})
	}
}

// counter is a series with a rate for each of several phases of an hour and a half.
type counter struct {
	series    string
	perMinute []float64
}

// phase is the length of a phase in minutes: an hour before its first hour is in the phase before.
const phase = 90

// at returns the value of the counter after a number of minutes.
func (c counter) at(minute int) (sum float64) {
	for i, n := range c.perMinute {
		sum += n * float64(min(max(minute-i*phase, 0), phase))
	}
	return sum
}

const (
	unary    = `job="shop",grpc_type="unary",grpc_service="s",grpc_method="m"`
	rejected = `hauberk_rejections_total{job="shop",side="server",interceptor="ratelimit",reason="RATE_LIMITED"}`
)

func started(rates ...float64) counter {
	return counter{"grpc_server_started_total{" + unary + "}", rates}
}

func handled(code string, rates ...float64) counter {
	return counter{"grpc_server_handled_total{grpc_code=\"" + code + "\"," + unary + "}", rates}
}

func within(le string, rates ...float64) counter {
	return counter{"grpc_server_handling_seconds_bucket{le=\"" + le + "\"," + unary + "}", rates}
}

func client(metric, more string, rates ...float64) counter {
	return counter{"grpc_client_" + metric + "_total{" + more + "," + unary + "}", rates}
}

func TestAlertsFire(t *testing.T) {
	running := "grpc_server_in_flight{" + unary + "}"
	tests := []struct {
		name     string
		counters []counter
		want     string // the alert, or ""
	}{
		{"no failures", []counter{started(60, 60), handled("OK", 60, 60), within("1", 60, 60), within("+Inf", 60, 60)}, ""},
		{"calls fail", []counter{started(60, 60), handled("OK", 60, 50), handled("Internal", 0, 10)}, "GRPCErrorRatioHigh"},
		{"callers cause errors", []counter{started(60, 60), handled("OK", 60, 30), handled("NotFound", 0, 30)}, ""},
		{"one of few calls fails", []counter{started(1, 1), handled("OK", 1, 0.5), handled("Internal", 0, 0.5)}, ""},
		{"calls are slow", []counter{started(60), within("1", 50), within("2.5", 60), within("+Inf", 60)}, "GRPCLatencyHigh"},
		{"a limit is hit", []counter{{rejected, []float64{6, 120}}}, "GRPCRejectionsSurge"},
		{"a limit is always hit", []counter{{rejected, []float64{120, 120}}}, ""},
		{"a new limit is hit", []counter{{rejected, []float64{120}}}, "GRPCRejectionsSurge"},
		{"calls stop", []counter{started(60, 0)}, "GRPCNoTraffic"},
		{"there were never any calls", []counter{started(0, 0)}, ""},
		{"calls accumulate", []counter{{running, []float64{10}}}, "GRPCInFlightGrowing"},
		{"many calls run", []counter{{running, []float64{10, 0}}}, ""},
		{
			"another service fails",
			[]counter{client("started", `scope=""`, 60), client("handled", `grpc_code="OK"`, 50), client("handled", `grpc_code="Unavailable"`, 10)},
			"GRPCClientErrorRatioHigh",
		},
		{
			"attempts fail and calls do not",
			[]counter{
				client("started", `scope="call"`, 60), client("started", `scope="attempt"`, 70),
				client("handled", `scope="call",grpc_code="OK"`, 60), client("handled", `scope="attempt",grpc_code="Unavailable"`, 10),
			},
			"",
		},
		{"calls are retried", []counter{client("started", `scope="call"`, 60), client("started", `scope="attempt"`, 120)}, "GRPCRetriesHigh"},
	}
	rules := readRules(t)
	fired := make(names)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := simulate(t, rules, test.counters)
			// The case describes the last phase.
			if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !got[test.want]) {
				t.Errorf("alerts %v; want %q", sorted(got), test.want)
			}
			fired[test.want] = true
		})
	}
	for _, r := range rules {
		if r.Alert != "" && !fired[r.Alert] {
			t.Errorf("%s fires in no case", r.Alert)
		}
	}
}

// simulate evaluates the rules once per minute and returns the alerts whose condition begins
// in the last phase.
func simulate(t *testing.T, rules []rule, counters []counter) names {
	t.Helper()
	server, fired := newPrometheus(), make(names)
	since := make(map[string]int) // the minute in which an alert became pending
	begin := time.Unix(1_700_000_000, 0)
	phases := len(counters[0].perMinute)
	for minute := range phases*phase - 40 { // a little less than an hour of the last phase
		now := begin.Add(time.Duration(minute) * time.Minute)
		server.add(now, valuesAt(t, counters, minute))
		server.record(t, rules, now)
		for _, r := range rules {
			if r.Alert == "" {
				continue
			}
			if len(server.query(t, r.Expr, now)) == 0 {
				delete(since, r.Alert)
				continue
			}
			if _, pending := since[r.Alert]; !pending {
				since[r.Alert] = minute
			}
			held := time.Duration(minute-since[r.Alert]) * time.Minute
			if held >= time.Duration(r.For) && since[r.Alert] >= (phases-1)*phase {
				fired[r.Alert] = true
			}
		}
	}
	return fired
}

func valuesAt(t *testing.T, counters []counter, minute int) (all []sample) {
	t.Helper()
	for _, c := range counters {
		l, err := promql.ParseMetric(c.series)
		if err != nil {
			t.Fatalf("%v in %s", err, c.series)
		}
		all = append(all, sample{l, c.at(minute)})
	}
	return all
}
