package breaker

// word is what calls read without the lock: the state, whether it is forced, whether there are
// failures that a success resets, and the generation, which is the number of changes. It is one
// word so that Allow and Done of a closed breaker need one atomic read, and with a window one
// atomic write: see BenchmarkClosed.
//
// With a window the word also counts successes that the window does not have yet. Who takes the
// lock sets busy and moves them into the window. While busy is set successes take the lock too.
type word uint64

const (
	stateBits          = 2
	failing       word = 1 << stateBits
	forced        word = failing << 1
	busy          word = forced << 1
	onePending    word = busy << 1
	pendingBits        = 10
	maxPending         = 1<<pendingBits - 1
	pending       word = maxPending * onePending
	genShift           = stateBits + 3 + pendingBits
	greatestState      = 1<<stateBits - 1
)

func newWord(s State, failures int, m Mode, generation uint64) word {
	w := word(generation)<<genShift | word(s)
	if failures > 0 {
		w |= failing
	}
	if m != Automatic {
		w |= forced
	}
	return w
}

func (w word) state() State { return State(w & greatestState) }

func (w word) generation() uint64 { return uint64(w >> genShift) }

func (w word) pending() int { return int(w & pending / onePending) }

// locked returns w while its breaker is locked: successes in it are in the window.
func (w word) locked() word { return w&^pending | busy }

// affectedBy reports whether an outcome of this generation can change more than a window.
func (w word) affectedBy(o Outcome) bool {
	return w&forced == 0 && (w.state() != Closed || o == Failure || o == Success && w&failing != 0)
}
