package breaker

// word is what calls read without the lock: the state, whether there are failures that a
// success resets, and the generation, which is the number of changes of state. It is one
// word so that Allow and Done of a closed breaker need one atomic read: see
// BenchmarkClosed.
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

// affectedBy reports whether an outcome of this generation can change the breaker.
func (w word) affectedBy(o Outcome) bool {
	return w.state() != Closed || o == Failure || o == Success && w&failing != 0
}
