//go:build !race

package callexpr_test

const raceEnabled = false
