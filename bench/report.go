package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// row is one line of the results.
type row struct {
	Contest      string  `json:"contest"`
	Variant      string  `json:"variant"`
	Base         string  `json:"base,omitempty"` // what it is compared with, if not the first
	Unit         string  `json:"unit"`
	Median       float64 `json:"median"`
	Beyond       float64 `json:"beyond_base,omitempty"`
	Ratio        float64 `json:"ratio_to_first,omitempty"`
	Allocs       int64   `json:"allocs,omitempty"`
	AllocsBeyond int64   `json:"allocs_beyond_base,omitempty"`
	Rounds       int     `json:"rounds"`
	Budget       string  `json:"budget,omitempty"`
	Met          *bool   `json:"met,omitempty"`
}

func (r *row) judge(b budget) {
	met := r.Beyond <= b.ns && r.AllocsBeyond <= b.allocs
	r.Met = &met
	r.Budget = fmt.Sprintf("≤ %.0f ns, ≤ %d allocations beyond", b.ns, b.allocs)
}

func (r *row) judgeRatio(limit float64) {
	met := r.Ratio <= limit
	r.Met = &met
	r.Budget = fmt.Sprintf("≤ %.2f × the first", limit)
}

func (r *row) String() string {
	return strings.Join(r.cells(), "  ")
}

func (r *row) cells() []string {
	beyond, allocs := fmt.Sprintf("%+.0f ns", r.Beyond), fmt.Sprintf("%d (%+d)", r.Allocs, r.AllocsBeyond)
	if r.Ratio > 0 {
		beyond, allocs = fmt.Sprintf("× %.3f", r.Ratio), ""
	}
	if r.Base != "" && r.Base != r.Variant {
		beyond += " on: " + r.Base
	}
	verdict := ""
	if r.Met != nil {
		verdict = map[bool]string{true: "met", false: "MISSED"}[*r.Met]
	}
	return []string{r.Variant, fmt.Sprintf("%.0f %s", r.Median, r.Unit), beyond, allocs, r.Budget, verdict}
}

// report is all of the results.
type report struct {
	Go      string `json:"go"`
	CPUs    int    `json:"cpus"`
	Machine string `json:"machine"`
	Rows    []row  `json:"rows"`

	size sizes
}

func newReport(size sizes) *report {
	machine := runtime.GOOS + "/" + runtime.GOARCH
	return &report{Go: runtime.Version(), CPUs: runtime.NumCPU(), Machine: machine, size: size}
}

func (r *report) add(rows ...row) { r.Rows = append(r.Rows, rows...) }

func (r *report) write() error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile("results.json", append(data, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile("RESULTS.md", []byte(r.markdown()), 0o644)
}

func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Measured results

Made by `+"`make bench`"+`: %s, %s, %d CPUs. The variants of a table were run in turn, %d rounds of
%s in process, %d rounds of %d calls for processes; the figures are medians. "Beyond" is the median
of the differences to the first row, or to the one that is named there, round by round; a ratio is the
median of the ratios to the first. Absolute times depend on the machine and on what else runs there.
`, r.Go, r.Machine, r.CPUs, r.size.rounds, r.size.benchtime, r.size.pairs, r.size.calls)
	contest := ""
	for i := range r.Rows {
		row := &r.Rows[i]
		if row.Contest != contest {
			contest = row.Contest
			fmt.Fprintf(&b, "\n## %s\n\n", contest)
			b.WriteString("| variant | median | beyond, or ratio | allocations | budget | |\n")
			b.WriteString("|---|---|---|---|---|---|\n")
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row.cells(), " | "))
	}
	return b.String()
}
