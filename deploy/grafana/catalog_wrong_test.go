package grafana_test

import (
	"strings"
	"testing"
)

// The check finds errors in all parts of a query.
func TestWrongQueries(t *testing.T) {
	all := scraped(t)
	have := catalogOf(all[len(all)-1])
	tests := []struct{ query, want string }{
		{`sum(rate(grpc_server_started_total[5m]))`, ""},
		{`sum(rate(grpc_server_begun_total[5m]))`, `there is no metric "grpc_server_begun_total"`},
		{`grpc_server_handling_seconds`, `there is no metric "grpc_server_handling_seconds"`},
		{`1 - sum(grpc_server_handling_seconds_sums)`, `there is no metric "grpc_server_handling_seconds_sums"`},
		{`rate(grpc_server_started_total{code="OK"}[5m])`, `grpc_server_started_total has no label "code"`},
		{`grpc_server_started_total{grpc_code="OK"}`, `grpc_server_started_total has no label "grpc_code"`},
		{
			`grpc_server_handled_total{grpc_code="CANCELLED"}`,
			`grpc_server_handled_total: no label grpc_code has the value "CANCELLED"`,
		},
		{
			`grpc_server_handled_total{grpc_code!="Ok"}`,
			`grpc_server_handled_total: no label grpc_code has the value "Ok"`,
		},
		{
			`grpc_server_handled_total{grpc_code=~"OK|Canceled|Cancelled"}`,
			`grpc_server_handled_total: no label grpc_code has the value "Cancelled"`,
		},
		{
			`sum by (grpc_svc) (grpc_server_in_flight)`,
			`there is no label "grpc_svc" to aggregate by in grpc_server_in_flight`,
		},
		{
			`sum by (grpc_method) (sum by (grpc_service) (grpc_server_in_flight))`,
			`there is no label "grpc_method" to aggregate by in sum by (grpc_service) (grpc_server_in_flight)`,
		},
		{`sum without (job) (grpc_server_in_flight)`, `use by to name the labels that are kept`},
		{
			`histogram_quantile(0.9, sum by (grpc_method) (rate(grpc_server_handling_seconds_bucket[5m])))`,
			`there is no label le`,
		},
		{
			`sum by (job) (grpc_server_in_flight) / on (reason) sum by (reason) (hauberk_rejections_total)`,
			`there is no label "reason" to match on`,
		},
		{
			`sum by (job) (grpc_server_in_flight) / sum by (side) (hauberk_rejections_total)`,
			`have different labels`,
		},
		{`sum by (job) (rate(grpc_server_started_total))`, `expected type range vector`},
		{`sum by (job (x)`, `parse error`},
	}
	for _, test := range tests {
		t.Run(test.query, func(t *testing.T) {
			_, err := have.check(test.query)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v; want %q", err, test.want)
			}
		})
	}
}
