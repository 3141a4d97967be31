package main

import "testing"

// TestJudge: budgets in nanoseconds grow with the time that other libraries took; those of allocations and ratios do
// not.
func TestJudge(t *testing.T) {
	const own = "Hauberk, JWT verified before" // at most 200 ns and 1 allocation
	for _, tc := range []struct {
		name          string
		slower        float64
		beyond        float64
		allocs        int64
		logging       float64
		met, metInCPU bool
	}{
		{"the machine of the budgets", 1, 200, 1, 1.5, true, true},
		{"above", 1, 201, 1, 1.6, false, false},
		{"half as fast", 2, 400, 1, 3, true, true},
		{"half as fast, above", 2, 401, 1, 3.1, false, false},
		{"half as fast, allocations", 2, 200, 2, 3, false, true},
	} {
		r := &report{Profile: &profiled{Rows: []profileRow{{Part: "logging", Micros: tc.logging, Budget: 1.5}}}}
		for _, ref := range reference {
			r.Rows = append(r.Rows, row{Contest: ref.contest, Variant: ref.variant, Beyond: ref.ns * tc.slower})
		}
		r.Rows = append(r.Rows, row{Contest: jwtName, Variant: own, Beyond: tc.beyond, AllocsBeyond: tc.allocs})
		r.judge()
		if got := *r.find(jwtName, own).Met; got != tc.met {
			t.Errorf("%s: %.0f ns and %d allocations met: %v, want %v", tc.name, tc.beyond, tc.allocs, got, tc.met)
		}
		if got := *r.Profile.Rows[0].Met; got != tc.metInCPU {
			t.Errorf("%s: %.1f µs of logging met: %v, want %v", tc.name, tc.logging, got, tc.metInCPU)
		}
	}
}
