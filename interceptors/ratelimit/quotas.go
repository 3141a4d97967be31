package ratelimit

import (
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/engine/gcra"
	"github.com/hauberk-rpc/hauberk/internal/engine/keyed"
	"github.com/hauberk-rpc/hauberk/internal/engine/window"
)

// quotas are the quotas of all keys. The methods ofAll, ofKey and ofPeer take a permit and
// return 0, or return the time until there is one.
type quotas interface {
	ofAll(now time.Duration) time.Duration
	ofKey(key string, now time.Duration) time.Duration
	ofPeer(call *hauberk.Call, n network, now time.Duration) time.Duration
	keys() int
	evicted() uint64
}

// newQuotas returns the quotas of a valid configuration.
func newQuotas(c Config) (quotas, error) {
	if c.Algorithm == GCRA {
		return newBuckets(c)
	}
	return newWindows(c)
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

// table holds states of type S. Keys and peers are in separate maps, so that neither can be
// mistaken for the other or displace it.
type table[S any] struct {
	all    S
	byKey  *keyed.Map[S]
	byPeer *keyed.Map[S]
	take   func(state *S, now time.Duration) (wait time.Duration)
}

// grace is added to the time after which a state equals a new one. States accept readings of
// the clock that are up to 10 s older than others, and keyed.Map has the time of the last
// use with a resolution of a millisecond.
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

// peer returns the state of the peer of a call, on a client of its target.
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

// nameOfPeer returns the key of a peer without an IP address. Its first byte is never 0, the
// first byte of the keys of addresses.
func nameOfPeer(call *hauberk.Call) string {
	if call.Side() == hauberk.ClientSide {
		return "target:" + call.Target()
	}
	if p := call.Peer(); p != nil && p.Addr != nil {
		return "addr:" + p.Addr.String()
	}
	return ""
}

// Keys returns how many keys and peers are kept, including those whose quota is whole and
// that were not removed yet. Safe for concurrent use.
func (x *Interceptor) Keys() int {
	if x.quotas == nil { // the configuration is wrong
		return 0
	}
	return x.quotas.keys()
}

// Evicted returns how many keys and peers were evicted. If it grows, MaxKeys is too small for
// those in use, or a caller invents keys. Safe for concurrent use.
func (x *Interceptor) Evicted() uint64 {
	if x.quotas == nil {
		return 0
	}
	return x.quotas.evicted()
}

func (t *table[S]) keys() int { return t.byKey.Len() + t.byPeer.Len() }

func (t *table[S]) evicted() uint64 { return t.byKey.Evicted() + t.byPeer.Evicted() }
