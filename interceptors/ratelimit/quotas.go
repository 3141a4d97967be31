package ratelimit

import (
	"fmt"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/engine/gcra"
	"github.com/hauberk-rpc/hauberk/internal/engine/keyed"
	"github.com/hauberk-rpc/hauberk/internal/engine/window"
)

// quotas are those of all keys. Each method of… takes a permit and returns 0, or
// returns how long until there is one.
type quotas interface {
	ofAll(now time.Duration) time.Duration
	ofKey(key string, now time.Duration) time.Duration
	ofPeer(call *hauberk.Call, n network, now time.Duration) time.Duration
	keys() int
	evicted() uint64
}

// newQuotas returns the quotas of a configuration that was checked.
func newQuotas(c Config) (q quotas, err error) {
	if c.Algorithm == GCRA {
		q, err = newBuckets(c)
	} else {
		q, err = newWindows(c)
	}
	if err != nil {
		return nil, fmt.Errorf("a bad combination of Limit, Per and Burst: %w", err)
	}
	return q, nil
}

func newBuckets(c Config) (quotas, error) {
	limit, err := gcra.New(c.Limit, c.Per, c.Burst)
	if err != nil {
		return nil, err
	}
	whole := new(gcra.Bucket).Allow(limit, 0, c.Burst).ResetAfter
	return newTable(c.MaxKeys, whole, func(b *gcra.Bucket, now time.Duration) time.Duration {
		return b.Allow(limit, now, 1).RetryAfter
	})
}

func newWindows(c Config) (quotas, error) {
	limit, err := window.New(c.Limit, c.Per)
	if err != nil {
		return nil, err
	}
	if c.Algorithm == FixedWindow {
		return newTable(c.MaxKeys, c.Per, func(w *window.Counter, now time.Duration) time.Duration {
			return w.Allow(limit, now, 1).RetryAfter
		})
	}
	return newTable(c.MaxKeys, c.Per, func(w *window.Log, now time.Duration) time.Duration {
		return w.Allow(limit, now, 1).RetryAfter
	})
}

// table holds states of type S. Keys and peers are kept apart, so that none can be
// mistaken for the other, and none displaces the other.
type table[S any] struct {
	all    S
	byKey  *keyed.Map[S]
	byPeer *keyed.Map[S]
	take   func(state *S, now time.Duration) (wait time.Duration)
}

// grace is added to the time after which a state is as good as new. States bear
// readings of the clock that lie 10 s behind others, and keyed.Map knows the time
// of the last use to the millisecond.
const grace = 11 * time.Second

func newTable[S any](
	maxKeys int, whole time.Duration, take func(*S, time.Duration) time.Duration,
) (*table[S], error) {
	config := keyed.Config{MaxKeys: maxKeys, Idle: whole + grace}
	byKey, err := keyed.New[S](config, nil)
	if err != nil {
		return nil, err
	}
	byPeer, err := keyed.New[S](config, nil)
	return &table[S]{byKey: byKey, byPeer: byPeer, take: take}, err
}

func (t *table[S]) ofAll(now time.Duration) time.Duration { return t.take(&t.all, now) }

func (t *table[S]) ofKey(key string, now time.Duration) time.Duration {
	return t.take(t.byKey.Get(key, now), now)
}

func (t *table[S]) ofPeer(call *hauberk.Call, n network, now time.Duration) time.Duration {
	return t.take(t.peer(call, n, now), now)
}

// peer returns the state of where a call comes from, or on a client goes to.
func (t *table[S]) peer(call *hauberk.Call, n network, now time.Duration) *S {
	addr := call.ClientAddr()
	if !addr.IsValid() {
		return t.byPeer.Get(nameOfPeer(call), now)
	}
	var key [1 + 16]byte // on the stack: as text it would cost an allocation
	bytes := n.of(addr).As16()
	copy(key[1:], bytes[:])
	return t.byPeer.Get(string(key[:]), now)
}

// nameOfPeer returns what tells peers without an IP address apart. Its first byte
// is never 0, which is that of addresses.
func nameOfPeer(call *hauberk.Call) string {
	if call.Side() == hauberk.ClientSide {
		return "target:" + call.Target()
	}
	if p := call.Peer(); p != nil && p.Addr != nil {
		return "addr:" + p.Addr.String()
	}
	return ""
}

// Keys returns how many keys and peers are kept, those included whose quota is
// whole and that were not forgotten yet. Safe for concurrent use.
func (l *Limiter) Keys() int {
	if l.quotas == nil { // it was made with a wrong configuration
		return 0
	}
	return l.quotas.keys()
}

// Evicted returns how many keys and peers had to be forgotten for room. While it
// grows, MaxKeys is too small for those in use, or a caller makes up keys. Safe for
// concurrent use.
func (l *Limiter) Evicted() uint64 {
	if l.quotas == nil {
		return 0
	}
	return l.quotas.evicted()
}

func (t *table[S]) keys() int { return t.byKey.Len() + t.byPeer.Len() }

func (t *table[S]) evicted() uint64 { return t.byKey.Evicted() + t.byPeer.Evicted() }
