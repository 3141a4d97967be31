package quantile_test

import (
	"fmt"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/quantile"
)

func Example() {
	var latency quantile.Histogram
	for i := range 1000 { // 1 ms, 2 ms, … 1 s
		latency.Record(time.Duration(i+1) * time.Millisecond)
	}

	s := latency.Snapshot() // one copy, so that the figures are consistent
	fmt.Println("calls", s.Count())
	fmt.Println("mean", s.Mean())
	for _, q := range []float64{0.5, 0.95, 0.99} {
		fmt.Printf("p%g about %v\n", 100*q, s.Quantile(q).Round(time.Millisecond))
	}
	// Output:
	// calls 1000
	// mean 500.5ms
	// p50 about 503ms
	// p95 about 957ms
	// p99 about 981ms
}

func ExampleHistogram_Merge() {
	var unary, streams, all quantile.Histogram
	unary.Record(2 * time.Millisecond)
	streams.Record(time.Minute)
	streams.Record(2 * time.Minute)

	all.Merge(&unary)
	all.Merge(&streams)
	fmt.Println(all.Count(), all.Sum())
	// Output:
	// 3 3m0.002s
}
