package main

import (
	"encoding/csv"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk/bench/internal/cpuprofile"
)

// tiny sizes run everything once.
var tiny = sizes{
	Short: true, Rounds: 1, Benchtime: "1x", Pairs: 1, Calls: 50, Profiled: 200, Curves: 1, Largest: 1000,
}

// TestRun: a run measures every part, and its files can be parsed.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	if err := run(tiny, "", dir); err != nil {
		t.Fatal(err)
	}
	checkFiles(t, dir)
	r, err := readReport(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Size.Short || !strings.Contains(readFile(t, dir, "RESULTS.md"), shortWarning) {
		t.Error("RESULTS.md of a short run has no warning")
	}
	if len(r.Curves) != 6 {
		t.Errorf("%d curves; want 6", len(r.Curves))
	}
	if want := len(sharedLimits()) * len(sharedVariants()); len(r.Shared) != want {
		t.Errorf("%d rows of shared limits; want %d", len(r.Shared), want)
	}
	for _, row := range r.Shared {
		if row.Decisions <= 0 || !strings.HasPrefix(row.Variant, "Hauberk") && row.RoundTrips < 0.9 {
			t.Errorf("%s, %s: %+v; want decisions, and a round trip for each of a rival", row.Limit, row.Variant, row)
		}
	}
	checkSidecar(t, r.Sidecar)
	for _, c := range comparisons() {
		if r.find(c.contest, c.own) == nil || r.find(c.contest, c.rival) == nil {
			t.Errorf("%s: %q and %q are not both measured", c.contest, c.own, c.rival)
		}
	}
}

// checkSidecar: each load has a row for each of Hauberk's transports, with and without policy.
// Other proxies may not be installed.
func checkSidecar(t *testing.T, rows []sidecarRow) {
	t.Helper()
	loads := map[string]int{}
	for _, row := range rows {
		if strings.HasPrefix(row.Proxy, "Hauberk") {
			loads[row.Load]++
		}
		if row.PerIdle == 0 && (row.CPU <= 0 && row.Proxy != "direct" || row.PerSec <= 0 || row.P99 < row.P50) {
			t.Errorf("%+v; want CPU time, throughput and latencies", row)
		}
	}
	for _, load := range sidecarLoads(tiny) {
		if got, want := loads[load.name], 4*len(load.conns); got != want {
			t.Errorf("%s: %d rows of Hauberk, want %d", load.name, got, want)
		}
	}
	if loads[idleStreams] != 4 {
		t.Errorf("%d rows of idle streams, want 4", loads[idleStreams])
	}
}

// TestCommitted: the files in this folder come from the results in this folder. Their
// profile has samples, unlike that of a run with tiny sizes.
func TestCommitted(t *testing.T) {
	checkFiles(t, ".")
	r, err := readReport(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{cpuprofile.GRPC, cpuprofile.Chain, "logging"} {
		if !slices.ContainsFunc(r.Profile.Rows, func(p profileRow) bool { return p.Part == part }) {
			t.Errorf("the profile has no row for %s", part)
		}
	}
}

// checkFiles checks all files of a report against its results.json.
func checkFiles(t *testing.T, dir string) {
	t.Helper()
	r, err := readReport(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range r.files() {
		if got := readFile(t, dir, name); got != want {
			t.Errorf("%s does not come from %s; run `go run . -render`", name, resultsFile)
		}
	}
	checkSummary(t, readFile(t, dir, "RESULTS.md"))
	checkBudgets(t, r, readFile(t, dir, "BUDGETS.md"))
	for _, c := range r.Curves {
		checkCurve(t, dir, c.Name, len(c.Series))
	}
	if r.Profile == nil || r.Profile.Whole.Micros <= 0 || r.Profile.Bare.Micros <= 0 {
		t.Errorf("the profile is %+v; want CPU times", r.Profile)
	}
}

// checkSummary: the report begins with a table of at most eleven lines: one for each comparison
// that was measured, and two for its head.
func checkSummary(t *testing.T, text string) {
	t.Helper()
	head, table, found := strings.Cut(text, "\n\n| ")
	table, _, _ = strings.Cut(table, "\n\n")
	if lines := strings.Split(table, "\n"); !found || len(lines) < 10 || len(lines) > 11 {
		t.Errorf("the summary has %d lines; want 10 or 11:\n%s", len(lines), table)
	}
	if n := strings.Count(head, "\n"); n > 3 {
		t.Errorf("%d lines before the summary; want at most 3", n)
	}
}

// checkBudgets: each row is in the file, and each verdict.
func checkBudgets(t *testing.T, r *report, text string) {
	t.Helper()
	want, got := map[string]int{}, map[string]int{}
	for i := range r.Rows {
		want[verdict(r.Rows[i].Met)]++
	}
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) == 6 && !strings.HasPrefix(line, "| variant |") {
			got[strings.Trim(cells[5], " |")]++
		}
	}
	for _, v := range []string{"", "met", "MISSED"} {
		if got[v] != want[v] {
			t.Errorf("%d rows with the verdict %q; want %d", got[v], v, want[v])
		}
	}
}

// checkCurve: the CSV has a number in each field, and the SVG is well-formed, with a line for
// each series.
func checkCurve(t *testing.T, dir, name string, series int) {
	t.Helper()
	records, err := csv.NewReader(strings.NewReader(readFile(t, dir, "curves/"+name+".csv"))).ReadAll()
	if err != nil || len(records) < 3 || len(records[0]) != 1+series {
		t.Errorf("%s.csv: %v, %v; want a head and at least two lines", name, records, err)
	}
	lines := 0
	decoder := xml.NewDecoder(strings.NewReader(readFile(t, dir, "curves/"+name+".svg")))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Errorf("%s.svg: %v", name, err)
			break
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "polyline" {
			lines++
		}
	}
	if lines != series {
		t.Errorf("%s.svg has %d lines; want %d", name, lines, series)
	}
}

func readFile(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
