//go:build race

package metricsotel_test

// flood is the number of names that a hostile caller sends. It is lower here: the race detector is
// ten times slower.
const flood = 100_000
