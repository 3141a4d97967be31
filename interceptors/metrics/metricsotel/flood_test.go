//go:build !race

package metricsotel_test

// flood is how many names a hostile caller makes up.
const flood = 1_000_000
