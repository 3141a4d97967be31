package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/hauberk-rpc/hauberk/bench/internal/curve"
)

// row is one line of the results.
type row struct {
	Contest      string  `json:"contest"`
	Variant      string  `json:"variant"`
	Base         string  `json:"base,omitempty"` // the variant that it is compared with, if not the first
	Unit         string  `json:"unit"`
	Median       float64 `json:"median"`
	Beyond       float64 `json:"beyond_base,omitempty"`
	Ratio        float64 `json:"ratio_to_base,omitempty"`
	Allocs       int64   `json:"allocs,omitempty"`
	AllocsBeyond int64   `json:"allocs_beyond_base,omitempty"`
	Rounds       int     `json:"rounds"`
	Budget       string  `json:"budget,omitempty"`
	Met          *bool   `json:"met,omitempty"`
}

// judge compares the row with a budget for a machine that is as many times as fast as this one.
func (r *row) judge(b budget, slowness float64) {
	met := r.Beyond <= b.ns*slowness && r.AllocsBeyond <= b.allocs
	r.Met = &met
	r.Budget = fmt.Sprintf("≤ %.0f ns, ≤ %d allocations beyond", b.ns, b.allocs)
}

func (r *row) judgeRatio(limit float64) {
	met := r.Ratio <= limit
	r.Met = &met
	r.Budget = fmt.Sprintf("≤ × %.2f", limit)
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
	return []string{r.Variant, fmt.Sprintf("%.0f %s", r.Median, r.Unit), beyond, allocs, r.Budget, verdict(r.Met)}
}

func verdict(met *bool) string {
	switch {
	case met == nil:
		return ""
	case *met:
		return "met"
	default:
		return "MISSED"
	}
}

// report is all of the results.
type report struct {
	Go      string `json:"go"`
	CPUs    int    `json:"cpus"`
	CPU     string `json:"cpu,omitempty"` // the model
	Machine string `json:"machine"`
	Size    sizes  `json:"size"`
	// Slowness is by how much budgets in nanoseconds are multiplied; see judge.
	Slowness float64 `json:"slowness"`

	Rows    []row          `json:"rows"`
	Profile *profiled      `json:"profile"`
	Shared  []sharedRow    `json:"shared,omitempty"`
	Sidecar []sidecarRow   `json:"sidecar,omitempty"`
	Curves  []*curve.Curve `json:"curves"`
}

func newReport(size sizes) *report {
	return &report{
		Go: runtime.Version(), CPUs: runtime.NumCPU(), CPU: cpuModel(),
		Machine: runtime.GOOS + "/" + runtime.GOARCH, Size: size,
	}
}

// cpuModel returns the name of the processor, if Linux has one.
func cpuModel() string {
	data, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// find returns the row of a variant, or nil.
func (r *report) find(contest, variant string) *row {
	for i := range r.Rows {
		if r.Rows[i].Contest == contest && r.Rows[i].Variant == variant {
			return &r.Rows[i]
		}
	}
	return nil
}

const resultsFile = "results.json"

// write writes results.json and all files that are made from it.
func (r *report) write(dir string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "curves"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, resultsFile), append(data, '\n'), 0o644); err != nil {
		return err
	}
	for name, text := range r.files() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// files returns the files that are made from the results.
func (r *report) files() map[string]string {
	files := map[string]string{"RESULTS.md": r.results(), "BUDGETS.md": r.budgets()}
	for _, c := range r.Curves {
		files["curves/"+c.Name+".csv"] = c.CSV()
		files["curves/"+c.Name+".svg"] = c.SVG()
	}
	return files
}

// readReport reads the results of an earlier run.
func readReport(dir string) (*report, error) {
	data, err := os.ReadFile(filepath.Join(dir, resultsFile))
	if err != nil {
		return nil, err
	}
	r := new(report)
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(r); err != nil {
		return nil, fmt.Errorf("%s: %w", resultsFile, err)
	}
	return r, nil
}

func renderAgain(dir string) error {
	r, err := readReport(dir)
	if err != nil {
		return err
	}
	r.judge()
	return r.write(dir)
}
