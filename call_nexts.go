package hauberk

import "sync/atomic"

// nexts is where the nexts of a call are: how many are running (depth), and how many the current attempt has
// entered (reached). Both are one word, so that a next needs two atomic writes instead of three: that saves 60 ns of
// the 430 ns of BenchmarkClient/unary/interceptors=8.
type nexts struct{ word atomic.Uint64 }

func newNexts(depth, reached int32) uint64 {
	return uint64(uint32(reached))<<32 | uint64(uint32(depth))
}

func (n *nexts) load() (depth, reached int32) {
	w := n.word.Load()
	return int32(uint32(w)), int32(w >> 32)
}

func (n *nexts) depth() int32 {
	depth, _ := n.load()
	return depth
}

func (n *nexts) reached() int32 {
	_, reached := n.load()
	return reached
}

func (n *nexts) set(depth, reached int32) { n.word.Store(newNexts(depth, reached)) }

// setDepth changes the depth alone.
func (n *nexts) setDepth(depth int32) {
	for {
		was, reached := n.load()
		if n.word.CompareAndSwap(newNexts(was, reached), newNexts(depth, reached)) {
			return
		}
	}
}

// enter begins the next at place i, unless the nexts are elsewhere.
func (n *nexts) enter(i, reached int32) bool {
	return n.word.CompareAndSwap(newNexts(i, reached), newNexts(i+1, i+1))
}

// leave ends the next at place i, if it is the innermost one that runs.
func (n *nexts) leave(i int32) {
	for {
		depth, reached := n.load()
		if depth != i+1 || n.word.CompareAndSwap(newNexts(depth, reached), newNexts(i, reached)) {
			return
		}
	}
}
