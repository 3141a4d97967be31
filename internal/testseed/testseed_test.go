package testseed_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// Without HAUBERK_SEED two runs draw the same numbers. Each other seed, test and stream
// draws different numbers.
func TestRandIsFixed(t *testing.T) {
	t.Setenv("HAUBERK_SEED", "")
	draw := func(t *testing.T, stream uint64) [4]uint64 {
		t.Helper()
		random := testseed.Rand(t, stream)
		return [4]uint64{random.Uint64(), random.Uint64(), random.Uint64(), random.Uint64()}
	}
	first := draw(t, 0)
	if again := draw(t, 0); again != first {
		t.Errorf("%v after %v, want the same", again, first)
	}
	all := [][4]uint64{first, draw(t, 1)}
	t.Run("other", func(t *testing.T) { all = append(all, draw(t, 0)) })
	for _, seed := range []string{"2", "18446744073709551615"} {
		t.Setenv("HAUBERK_SEED", seed)
		all = append(all, draw(t, 0))
	}
	for i, a := range all {
		if slices.Contains(all[i+1:], a) {
			t.Errorf("drawn twice: %v", a)
		}
	}
}

// Two checks of the same property draw the same values.
func TestCheckIsFixed(t *testing.T) {
	draw := func() (drawn []uint64) {
		testseed.Check(t, func(r *rapid.T) { drawn = append(drawn, rapid.Uint64().Draw(r, "number")) })
		return drawn
	}
	first := draw()
	if again := draw(); len(first) == 0 || !slices.Equal(again, first) {
		t.Errorf("drawn %v, then %v; want the same", first, again)
	}
}
