package main

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/hauberk-rpc/hauberk/bench/internal/cpuprofile"
)

// profiled is what CPU profiles show of two loaded server processes.
type profiled struct {
	Calls int           `json:"calls"` // of each process
	Rows  []profileRow  `json:"rows"`
	Whole processTotals `json:"whole"` // of the whole chain
	Bare  processTotals `json:"bare"`  // of bare grpc-go
}

// processTotals are the CPU time of a process per call, from its resource usage, and the
// samples of its profile.
type processTotals struct {
	Micros  float64 `json:"us_per_call"`
	Samples int64   `json:"samples"`
}

// profileRow is the CPU time of one part of the processes: its share of the samples, of the
// CPU time of its process.
type profileRow struct {
	Part   string  `json:"part"`
	Micros float64 `json:"us_per_call"` // in the process with the whole chain
	Error  float64 `json:"error_us"`    // the standard error that the number of samples gives
	Bare   float64 `json:"bare_us_per_call"`
	Budget float64 `json:"budget_us,omitempty"`
	Met    *bool   `json:"met,omitempty"`
}

// partBudgets are in microseconds per call.
var partBudgets = map[string]float64{"logging": 1.5}

// measureProfile loads bare grpc-go and the whole chain in turn, while both are profiled.
func measureProfile(size sizes) (*profiled, error) {
	contest := processContest{roles: []processRole{
		{name: bareName, role: "server-bare", load: accepted},
		{name: wholeName, role: "server-hauberk", load: accepted},
	}}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	processes, err := contest.start("", size.Calls/2)
	defer stopAll(processes)
	if err != nil {
		return nil, err
	}
	files := []string{filepath.Join(dir, "bare"), cmp.Or(size.profile, filepath.Join(dir, "whole"))}
	for i, p := range processes {
		if err := p.startProfile(files[i]); err != nil {
			return nil, err
		}
	}
	totals, err := loadProfiled(processes, size.Profiled)
	if err != nil {
		return nil, err
	}
	var profiles [2]*cpuprofile.Profile
	for i, p := range processes {
		if err := p.stopProfile(); err != nil {
			return nil, err
		}
		if profiles[i], err = cpuprofile.Read(files[i]); err != nil {
			return nil, err
		}
		totals[i].Samples = profiles[i].Total
	}
	out := &profiled{Calls: size.Profiled, Bare: totals[0], Whole: totals[1]}
	out.divide(profiles[0], profiles[1])
	out.print()
	return out, nil
}

// loadProfiled makes calls to each of the processes, in turn.
func loadProfiled(processes []*process, calls int) ([]processTotals, error) {
	const turns = 20
	totals := make([]processTotals, len(processes))
	for range turns {
		for i, p := range processes {
			ns, err := p.cpuOf(calls/turns, func(calls int) error { return accepted.run(p, calls) })
			if err != nil {
				return nil, err
			}
			totals[i].Micros += ns / 1000 / turns
		}
	}
	return totals, nil
}

// divide fills the rows, the most expensive part first.
func (p *profiled) divide(bare, whole *cpuprofile.Profile) {
	for part, samples := range whole.Samples {
		perSample := p.Whole.Micros / float64(whole.Total)
		r := profileRow{
			Part:   part,
			Micros: float64(samples) * perSample,
			Error:  math.Sqrt(float64(samples)) * perSample,
			Bare:   float64(bare.Samples[part]) * p.Bare.Micros / float64(max(bare.Total, 1)),
		}
		r.Budget = partBudgets[part]
		p.Rows = append(p.Rows, r)
	}
	slices.SortFunc(p.Rows, func(a, b profileRow) int { return cmp.Compare(b.Micros, a.Micros) })
}

func (p *profiled) print() {
	fmt.Printf("   whole chain %.2f µs CPU/call (%d samples), bare %.2f µs (%d samples)\n",
		p.Whole.Micros, p.Whole.Samples, p.Bare.Micros, p.Bare.Samples)
	for i := range p.Rows {
		r := &p.Rows[i]
		fmt.Printf("   %-20s %6.2f ± %.2f µs  bare %6.2f µs\n", r.Part, r.Micros, r.Error, r.Bare)
	}
}
