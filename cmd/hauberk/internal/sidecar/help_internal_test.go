package sidecar

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/otelenv"
)

// The program reads each variable that the help lists: an invalid value is an error that
// names the variable. The exceptions are variables for which all values are valid.
func TestHelpListsVariables(t *testing.T) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
	names := regexp.MustCompile(`\bOTEL_[A-Z_]+[A-Z]\b`).FindAllString(long, -1)
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) < 35 {
		t.Errorf("only %d variables: %v", len(names), names)
	}
	anything := []string{"OTEL_SERVICE_NAME", "OTEL_EXPORTER_PROMETHEUS_HOST", "OTEL_LOGS_EXPORTER"}
	for _, name := range names {
		if slices.Contains(anything, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
			t.Setenv("OTEL_METRICS_EXPORTER", "otlp")
			t.Setenv("OTEL_TRACES_SAMPLER", "traceidratio")
			t.Setenv(name, "?")
			_, err := otelenv.Open(t.Context(), otelenv.Service{}, t.Logf)
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("error %v; want one about %s", err, name)
			}
		})
	}
}

// Lines of the help fit on a terminal.
func TestHelpIsNotTooWide(t *testing.T) {
	for line := range strings.Lines(long) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 90 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}
