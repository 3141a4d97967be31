//go:build race

package metricsotel_test

// flood is how many names a hostile caller makes up; the race detector makes each
// of them ten times as dear.
const flood = 100_000
