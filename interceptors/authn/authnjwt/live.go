package authnjwt

import (
	"sync"
	"weak"

	"github.com/hauberk-rpc/hauberk"
)

// verified is a token that was verified, and its identity. Calls and the cache share it.
type verified struct {
	identity hauberk.Identity
	sub, jti string
	key      *key

	// revoked is closed when the token is revoked; nil if the validator has no lists.
	revoked chan struct{}
	once    sync.Once
}

// revoke ends what was admitted with the token.
func (t *verified) revoke() { t.once.Do(func() { close(t.revoked) }) }

func (t *verified) isRevoked() bool {
	select {
	case <-t.revoked:
		return true
	default:
		return false
	}
}

// liveTokens has the verified tokens that are in the cache or in use by a call, without keeping
// them in memory: those that nothing else refers to are removed when their number has doubled.
// It is thus bounded by the cache and the calls in progress.
type liveTokens struct {
	mu     sync.Mutex
	tokens []weak.Pointer[verified]
	prune  int
}

func (l *liveTokens) add(t *verified) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.tokens) >= max(l.prune, 64) {
		kept := l.tokens[:0]
		for _, p := range l.tokens {
			if p.Value() != nil {
				kept = append(kept, p)
			}
		}
		clear(l.tokens[len(kept):])
		l.tokens = kept
		l.prune = 2 * len(kept)
	}
	l.tokens = append(l.tokens, weak.Make(t))
}

// all returns the tokens.
func (l *liveTokens) all() []*verified {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]*verified, 0, len(l.tokens))
	for _, p := range l.tokens {
		if t := p.Value(); t != nil {
			list = append(list, t)
		}
	}
	return list
}
