package retrybudget

import "sync/atomic"

// tokenParts is how many parts of a token are counted: gRFC A6 has three decimals.
const tokenParts int64 = 1000

// tokens is the token bucket of gRFC A6. Its numbers are in parts.
type tokens struct {
	most  int64 // 0 without tokens
	share int64 // for each success
	left  atomic.Int64
}

func (t *tokens) init(c Config) {
	t.most, t.share = int64(c.MaxTokens)*tokenParts, inParts(c.TokenRatio, tokenParts)
	t.left.Store(t.most)
}

// exhausted reports whether at most half of the tokens is left.
func (t *tokens) exhausted() bool { return t.most > 0 && t.left.Load() <= t.most/2 }

func (t *tokens) add() {
	for {
		left := t.left.Load()
		if left == t.most || t.left.CompareAndSwap(left, min(left+t.share, t.most)) {
			return
		}
	}
}

func (t *tokens) remove() {
	for {
		left := t.left.Load()
		if left == 0 || t.left.CompareAndSwap(left, max(left-tokenParts, 0)) {
			return
		}
	}
}
