package breaker

// word is what calls look at without the lock: a state, whether there are failures
// to be forgotten, and the generation, which is how often the state has changed.
type word uint64

const (
	stateBits      = 2
	failing   word = 1 << stateBits
	genShift       = stateBits + 1
)

func newWord(s State, failures int, generation uint64) word {
	w := word(generation)<<genShift | word(s)
	if failures > 0 {
		w |= failing
	}
	return w
}

func (w word) state() State { return State(w & (1<<stateBits - 1)) }

func (w word) generation() uint64 { return uint64(w >> genShift) }

// heeds says whether an outcome of this generation could change anything.
func (w word) heeds(o Outcome) bool {
	return w.state() != Closed || o == Failure || o == Success && w&failing != 0
}
