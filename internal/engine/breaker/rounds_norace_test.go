//go:build !race

package breaker_test

import "testing"

// TestHalfOpenRounds is TestHalfOpenRace with 10,000 rounds of 1,000 goroutines, as row B01 of
// e2e/attacks wants. The race detector makes them ten times slower.
func TestHalfOpenRounds(t *testing.T) {
	rounds := 10_000
	if testing.Short() {
		rounds = 200
	}
	halfOpenRaces(t, func(round int) bool { return round < rounds })
}
