//go:build race

package callexpr_test

// raceEnabled: the race detector drops a part of what a sync.Pool keeps.
const raceEnabled = true
