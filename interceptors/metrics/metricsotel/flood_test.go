//go:build !race

package metricsotel_test

// flood is the number of names that a hostile caller sends.
const flood = 1_000_000
