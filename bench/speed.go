package main

import (
	"fmt"
	"strings"
)

// reference has what libraries that Hauberk does not change took beyond a bare call, in nanoseconds, on the machine
// for which the budgets were written: rows of RESULTS.md in commit 803578b.
var reference = []struct {
	contest, variant string
	ns               float64
}{
	{tracingName(true, "server"), tracingRival, 3473},
	{tracingName(false, "server"), tracingRival, 2051},
	{tracingName(true, "client"), tracingRival, 3391},
	{tracingName(false, "client"), tracingRival, 2060},
	{serverUnaryName, middlewareName, 10575},
}

// judge compares all rows with their budgets. Budgets in nanoseconds are for the machine of the reference, so that they
// are multiplied by how many times as long as there the same libraries took in this run: the median of their ratios.
func (r *report) judge() {
	ratios := make([]float64, 0, len(reference))
	for _, ref := range reference {
		if row := r.find(ref.contest, ref.variant); row != nil {
			ratios = append(ratios, row.Beyond/ref.ns)
		}
	}
	if len(ratios) == 0 {
		return
	}
	r.Slowness = median(ratios)
	for _, c := range inProcessContests() {
		for variant, b := range c.budgets {
			if row := r.find(c.name, variant); row != nil {
				row.judge(b, r.Slowness)
			}
		}
	}
	if r.Profile == nil {
		return
	}
	for i := range r.Profile.Rows {
		if row := &r.Profile.Rows[i]; row.Budget > 0 {
			met := row.Micros <= row.Budget*r.Slowness
			row.Met = &met
		}
	}
}

// budgetMachine says what budgets in nanoseconds are multiplied by.
func (r *report) budgetMachine() string {
	var b strings.Builder
	fmt.Fprintf(&b, `
Budgets in nanoseconds are for the machine on which they were set. There otelgrpc and go-grpc-middleware took the times
of the second column, beyond a bare call. This run took %.2f times as long (the median). So a budget of 100 ns is met
by at most %.0f ns here.

| variant | then | now | ratio |
|---|---|---|---|
`, r.Slowness, 100*r.Slowness)
	for _, ref := range reference {
		if row := r.find(ref.contest, ref.variant); row != nil {
			tableRow(&b, ref.contest+": "+ref.variant, fmt.Sprintf("%.0f ns", ref.ns),
				fmt.Sprintf("%.0f ns", row.Beyond), fmt.Sprintf("%.2f", row.Beyond/ref.ns))
		}
	}
	return b.String()
}

// printMissed prints the rows beyond their budgets.
func (r *report) printMissed() {
	if r.Slowness == 0 {
		return
	}
	fmt.Printf("missed budgets; those in nanoseconds are multiplied by %.2f\n", r.Slowness)
	for i := range r.Rows {
		if row := &r.Rows[i]; row.Met != nil && !*row.Met {
			fmt.Println("  ", row.Contest+":", row.String())
		}
	}
	if r.Profile == nil {
		return
	}
	for _, row := range r.Profile.Rows {
		if row.Met != nil && !*row.Met {
			fmt.Printf("   a loaded server: %s %.2f µs, ≤ %.1f µs\n", row.Part, row.Micros, row.Budget)
		}
	}
}
