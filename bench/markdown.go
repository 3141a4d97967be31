package main

import (
	"fmt"
	"strings"

	"github.com/hauberk-rpc/hauberk/bench/internal/curve"
)

// shortWarning marks the files of a short run.
const shortWarning = "\n**Made with -short: a check that everything runs. Do not quote these figures.**\n"

// comparison is one line of the summary: a variant of Hauberk and a rival.
type comparison struct {
	text       string
	contest    string
	own, rival string
	rivalText  string // its name in the summary
	whole      bool   // compares whole calls, not what they cost beyond a bare call
}

// comparisons are the rows of the summary, which has at most eleven lines with those of its head.
func comparisons() []comparison {
	return []comparison{
		{"server process, six interceptors", serverContestName, wholeName, bareName, "bare grpc-go", true},
		{"server process, six interceptors", serverContestName, wholeName, middlewareName, "go-grpc-middleware", true},
		{"server process, rejected calls", serverContestName, noTokenName, rejectingName, "bare grpc-go, no log", true},
		{"proxy process, no policy", proxyContestName, noPolicyName, plainProxyName, "plain grpc-go proxy", true},
		{"six interceptors", serverUnaryName, wholeName, middlewareName, "go-grpc-middleware", false},
		{"JSON log", loggingName, loggingOwn, loggingRival, "go-grpc-middleware", false},
		{"Prometheus metrics", metricsName, metricsOwn, metricsRival, "go-grpc-middleware", false},
		{"sampled span", tracingName(true, "server"), tracingOwn, tracingRival, "otelgrpc", true},
		{"closed circuit breaker, client", breakerName, breakerOwn, breakerRival, "gobreaker", false},
	}
}

// cells returns the columns of the summary, or nil if a variant was not measured.
func (c comparison) cells(r *report) []string {
	own, rival := r.find(c.contest, c.own), r.find(c.contest, c.rival)
	if own == nil || rival == nil {
		return nil
	}
	ours, theirs := own.Beyond, rival.Beyond
	if c.whole {
		ours, theirs = own.Median, rival.Median
	}
	ratio := ours / theirs
	if own.Ratio > 0 { // round by round, which evens out the load of the machine
		ratio = own.Ratio / rival.Ratio
	}
	return []string{c.text, micros(ours), micros(theirs) + ", " + c.rivalText, fmt.Sprintf("%.2f", ratio)}
}

func micros(ns float64) string { return fmt.Sprintf("%.2f µs", ns/1000) }

func tableRow(b *strings.Builder, cells ...string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

// results is RESULTS.md. Its first table is for quotation.
func (r *report) results() string {
	var b strings.Builder
	b.WriteString("# Measured results\n\nCost of a unary call: CPU time of a process, or time without a network. ")
	fmt.Fprintf(&b, "%s.\n\n", r.where())
	b.WriteString("| what | Hauberk | other | ratio |\n|---|---|---|---|\n")
	for _, c := range comparisons() {
		if cells := c.cells(r); cells != nil {
			tableRow(&b, cells...)
		}
	}
	if r.Size.Short {
		b.WriteString(shortWarning)
	}
	fmt.Fprintf(&b, `
The six interceptors are recovery, request id, metrics, JSON log, JWT authentication and a limit by user.
go-grpc-middleware has no request ids, and golang-jwt verifies each token; Hauberk keeps verified tokens. The rows of
processes are the CPU time of a whole server or proxy under load. All servers have the same server options, those of
`+"`Chain.ServerOptions`"+`. The other rows run without a network. They show the time beyond a bare call, except that of
the sampled span, which shows whole calls.

`+"`make bench`"+` wrote this file. It measures all variants in turn, %d rounds of %s without a network and %d rounds of
%d calls for processes; the figures are medians. Absolute times depend on the machine, so compare ratios.
[BUDGETS.md](BUDGETS.md) has every variant, [results.json](results.json) every figure.
`, r.Size.Rounds, r.Size.Benchtime, r.Size.Pairs, r.Size.Calls)
	r.addProfile(&b)
	r.addShared(&b)
	r.addSidecar(&b)
	r.addCurves(&b)
	return b.String()
}

func (r *report) where() string {
	where := fmt.Sprintf("%s, %s, %d CPUs", r.Go, r.Machine, r.CPUs)
	if r.CPU != "" {
		where += " (" + r.CPU + ")"
	}
	return where
}

func (r *report) addProfile(b *strings.Builder) {
	p := r.Profile
	if p == nil {
		return
	}
	fmt.Fprintf(b, `
## CPU of a loaded server, by part

From CPU profiles of two server processes over %d calls each: the whole chain, %.2f µs per call (%d samples), and bare
grpc-go, %.2f µs (%d samples). An interceptor includes the functions that it calls, except those of the chain. The error
is the standard error that the number of samples gives. [BUDGETS.md](BUDGETS.md) says by what a budget is multiplied.

| part | whole chain | error | bare grpc-go | budget | |
|---|---|---|---|---|---|
`, p.Calls, p.Whole.Micros, p.Whole.Samples, p.Bare.Micros, p.Bare.Samples)
	for i := range p.Rows {
		row := &p.Rows[i]
		budget := ""
		if row.Budget > 0 {
			budget = fmt.Sprintf("≤ %.1f µs", row.Budget)
		}
		tableRow(b, row.Part, fmt.Sprintf("%.2f µs", row.Micros), fmt.Sprintf("± %.2f µs", row.Error),
			fmt.Sprintf("%.2f µs", row.Bare), budget, verdict(row.Met))
	}
}

func (r *report) addCurves(b *strings.Builder) {
	if len(r.Curves) == 0 {
		return
	}
	b.WriteString(`
## Curves

The slopes are those of lines fitted by least squares: per unit if the cost is linear, and per ten times as many if it
is flat.

| curve | series | shape | slope | R² | |
|---|---|---|---|---|---|
`)
	for _, c := range r.Curves {
		for _, s := range c.Series {
			line := curve.Fit(c.Shape, s.Points)
			tableRow(b, c.Title, s.Name, string(c.Shape), fmt.Sprintf("%+.1f %s %s", line.Slope, c.Unit, c.Per()),
				fmt.Sprintf("%.3f", line.R2), fmt.Sprintf("[SVG](curves/%s.svg), [CSV](curves/%s.csv)", c.Name, c.Name))
		}
	}
}

// budgets is BUDGETS.md: a table for each contest.
func (r *report) budgets() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Every variant and its budget

`+"`make bench`"+` wrote this file: %s. "Beyond" is the median, over all rounds, of the
difference to the first row of the table or to the row that is named. A ratio is the median of the ratios to that row.
`, r.where())
	b.WriteString(r.budgetMachine())
	if r.Size.Short {
		b.WriteString(shortWarning)
	}
	contest := ""
	for i := range r.Rows {
		row := &r.Rows[i]
		if row.Contest != contest {
			contest = row.Contest
			fmt.Fprintf(&b, "\n## %s\n\n", contest)
			b.WriteString("| variant | median | beyond, or ratio | allocations | budget | |\n")
			b.WriteString("|---|---|---|---|---|---|\n")
		}
		tableRow(&b, row.cells()...)
	}
	return b.String()
}
