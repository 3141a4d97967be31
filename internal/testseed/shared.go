package testseed

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Shared is a source of random numbers for several goroutines of a test with a fake clock.
type Shared struct {
	mu     sync.Mutex // guards random
	random *rand.Rand
}

// Share returns a source that takes its numbers from random.
func Share(random *rand.Rand) *Shared { return &Shared{random: random} }

// IntN returns a number from 0 to n-1.
func (s *Shared) IntN(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.IntN(n)
}

// Pause waits up to a millisecond at random, often not at all.
func (s *Shared) Pause() {
	if s.IntN(3) == 0 {
		time.Sleep(time.Duration(s.IntN(1000)) * time.Microsecond) //nolint:forbidigo // synctest: the clock is fake
	}
}
