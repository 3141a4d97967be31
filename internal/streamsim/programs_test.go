//go:build !race

package streamsim

import "testing"

const raced = false

// TestExplore runs programs from fixed seeds.
func TestExplore(t *testing.T) { exploreFixed(t, 100_000) }
