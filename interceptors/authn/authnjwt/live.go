package authnjwt

import (
	"slices"
	"sync"
	"unsafe"
	"weak"

	"github.com/hauberk-rpc/hauberk"
)

// verified is a token that was verified, and its identity. Calls and the cache share it.
type verified struct {
	identity hauberk.Identity
	names
	key *key
}

// names are what a revocation may name a token by.
type names struct{ subject, sub, jti string }

func (t *verified) isRevoked() bool {
	select {
	case <-t.identity.Revoked:
		return true
	default:
		return false
	}
}

// liveToken is a token that was admitted, as long as something can find out that it is revoked.
type liveToken struct {
	names
	revoked weakChan
	once    sync.Once
}

// revoke ends what was admitted with the token.
func (t *liveToken) revoke() {
	t.once.Do(func() {
		if c := t.revoked.value(); c != nil {
			close(c)
		}
	})
}

// weakChan refers to a channel without keeping it in memory. The package weak has no type for channels,
// but a channel is a pointer.
type weakChan struct{ p weak.Pointer[byte] }

func weaken(c chan struct{}) weakChan {
	return weakChan{weak.Make(*(**byte)(unsafe.Pointer(&c)))} // both are one pointer
}

// value returns the channel, or nil if nothing else refers to it.
func (w weakChan) value() chan struct{} {
	p := w.p.Value()
	return *(*chan struct{})(unsafe.Pointer(&p)) // both are one pointer
}

// liveTokens has the tokens whose Identity.Revoked something refers to: the cache, a call, or a copy of the
// identity that the program made, such as one with its own roles. It does not keep them in memory:
// those that nothing else refers to are removed when their number has doubled. It is thus
// bounded by the identities in use.
type liveTokens struct {
	mu     sync.Mutex
	tokens []*liveToken
	prune  int
}

// add adds a token, and returns the channel that is closed when it is revoked.
func (l *liveTokens) add(n names) <-chan struct{} {
	revoked := make(chan struct{})
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.tokens) >= max(l.prune, 64) {
		l.removeUnused()
	}
	l.tokens = append(l.tokens, &liveToken{names: n, revoked: weaken(revoked)})
	return revoked
}

// removeUnused removes the tokens that nothing refers to. The mutex is locked.
func (l *liveTokens) removeUnused() {
	l.tokens = slices.DeleteFunc(l.tokens, func(t *liveToken) bool { return t.revoked.value() == nil })
	l.prune = 2 * len(l.tokens)
}

// unused reports whether nothing refers to any of the tokens.
func (l *liveTokens) unused() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removeUnused()
	return len(l.tokens) == 0
}

// revokeNamed revokes the tokens of these issuers that a list names. It runs after each change of the list.
func (l *liveTokens) revokeNamed(list *Revocations, issuers []string) {
	for _, t := range l.all() {
		if list.has(issuers, t.names) {
			t.revoke()
		}
	}
}

// all returns the tokens, among them some that nothing refers to.
func (l *liveTokens) all() []*liveToken {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.tokens)
}
