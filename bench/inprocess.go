package main

import (
	"flag"
	"fmt"
	"slices"
	"testing"
)

// sample is one measurement of one variant.
type sample struct {
	ns     float64
	allocs int64
	bytes  int64
}

// variant is a call that is measured in this process.
type variant struct {
	name string
	make func() func() error // one call
}

// contest is a set of variants that are measured in turn. Each is compared with the first,
// or with the variant that bases names.
type contest struct {
	name     string
	variants []variant
	budgets  map[string]budget
	bases    map[string]string
}

// budget is what a variant may cost beyond its base.
type budget struct {
	ns     float64
	allocs int64
}

// measureInProcess runs all contests, one variant after the other in each round.
func measureInProcess(size sizes) []row {
	_ = flag.Set("test.benchtime", size.Benchtime)
	rows := make([]row, 0, 64)
	for _, c := range inProcessContests() {
		samples := make([][]sample, len(c.variants))
		for range size.Rounds {
			for i, v := range c.variants {
				samples[i] = append(samples[i], measure(v))
			}
		}
		rows = append(rows, c.rows(samples)...)
	}
	return rows
}

func measure(v variant) sample {
	call := v.make()
	r := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := call(); err != nil {
				b.Fatal(v.name, err)
			}
		}
	})
	return sample{float64(r.T.Nanoseconds()) / float64(r.N), r.AllocsPerOp(), r.AllocedBytesPerOp()}
}

// base returns the index of the variant that another is compared with.
func (c contest) base(name string) int {
	return max(0, slices.IndexFunc(c.variants, func(v variant) bool { return v.name == c.bases[name] }))
}

// rows compares each variant with its base, round by round.
func (c contest) rows(samples [][]sample) []row {
	rows := make([]row, 0, len(c.variants))
	for i, v := range c.variants {
		base := samples[c.base(v.name)]
		beyond := make([]float64, 0, len(samples[i]))
		ns := make([]float64, 0, len(samples[i]))
		for round, s := range samples[i] {
			ns = append(ns, s.ns)
			beyond = append(beyond, s.ns-base[round].ns)
		}
		last, bare := samples[i][len(samples[i])-1], base[len(base)-1]
		r := row{
			Contest: c.name, Variant: v.name, Base: c.bases[v.name], Unit: "ns/call",
			Median: median(ns), Beyond: median(beyond),
			Allocs: last.allocs, AllocsBeyond: last.allocs - bare.allocs, Rounds: len(ns),
		}
		fmt.Println("  ", r.String())
		rows = append(rows, r)
	}
	return rows
}

func median(values []float64) float64 {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}
