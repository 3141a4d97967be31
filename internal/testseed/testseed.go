package testseed

import (
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

const (
	variable     = "HAUBERK_SEED"
	fixed        = 1
	flagOfRapid  = "rapid.seed"
	unsetInRapid = "0" // rapid then derives a seed from the clock
)

// Rand returns a source of random numbers for the test t. The numbers depend on the
// seed, on the name of t and on stream. Sources of different streams are independent:
// give one to each goroutine, because a source is not safe for concurrent use.
func Rand(t testing.TB, stream uint64) *rand.Rand {
	t.Helper()
	seed := value(t, os.Getenv(variable))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to reproduce: %s=%d", variable, seed)
		}
	})
	name := fnv.New64a()
	fmt.Fprint(name, t.Name(), "\x00", stream)
	return rand.New(rand.NewPCG(seed, name.Sum64()))
}

// Check is rapid.Check with the seed of this package. A seed that is given to rapid
// itself, with its flag or environment variable, takes precedence.
func Check(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	seed := value(t, os.Getenv(variable))
	setRapid.Do(func() {
		if f := flag.Lookup(flagOfRapid); f.Value.String() == unsetInRapid {
			if err := f.Value.Set(strconv.FormatUint(seed, 10)); err != nil {
				t.Fatal(err)
			}
		}
	})
	rapid.Check(t, property)
}

// setRapid sets rapid's flag once, before the first check reads it: later writes would
// race with checks of parallel tests.
//
//nolint:gochecknoglobals // the flag is global
var setRapid sync.Once

// value returns the seed in text, the value of the environment variable.
func value(t testing.TB, text string) uint64 {
	t.Helper()
	if text == "" {
		return fixed
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil || seed == 0 {
		t.Fatalf("%s is %q; want a number of at least 1", variable, text)
	}
	return seed
}
