//go:build race

package streamsim

import "testing"

// raced is whether the race detector is on. An interceptor that returns while its next
// runs is a race in itself.
const raced = true

// TestExploreRace runs fewer programs, with the race detector.
func TestExploreRace(t *testing.T) { exploreFixed(t, 10_000) }
