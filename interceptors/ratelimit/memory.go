package ratelimit

import (
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/gcra"
	"github.com/hauberk-rpc/hauberk/internal/engine/keyed"
	"github.com/hauberk-rpc/hauberk/internal/engine/window"
)

// operation is what is done to a quota.
type operation uint8

const (
	take   operation = iota // takes permits if there are enough
	check                   // says whether there are enough
	charge                  // takes permits in any case, or gives them back
)

// place is where the quota of a key is. Keys and peers are apart, so that neither can be
// mistaken for the other or displace it.
type place uint8

const (
	ofKeys place = iota
	ofPeers
	ofAll // there is one quota
)

// memory has the quotas of one limit in this process. Only the parts for its algorithm are used.
// It is one type, without interfaces, so that keys do not escape to the heap.
type memory struct {
	algorithm Algorithm
	rate      *gcra.Limit
	buckets   table[gcra.Bucket]
	window    *window.Limit
	counters  table[window.Counter]
	logs      table[window.Log]
}

// newMemory returns the quotas of a limit whose configuration is valid.
func newMemory(c Config, maxKeys int) (m *memory, err error) {
	m = &memory{algorithm: c.Algorithm}
	if c.Algorithm == GCRA {
		if m.rate, err = gcra.New(c.Limit, c.Per, c.Burst); err != nil {
			return nil, err
		}
		whole := new(gcra.Bucket).Allow(m.rate, 0, c.Burst).ResetAfter
		if c.Cost.Charged {
			m.rate = m.rate.WithDebt()
			whole = new(gcra.Bucket).Charge(m.rate, 0, c.Burst+c.Burst).ResetAfter
		}
		return m, m.buckets.init(maxKeys, whole)
	}
	if m.window, err = window.New(c.Limit, c.Per); err != nil {
		return nil, err
	}
	if c.Algorithm == FixedWindow {
		return m, m.counters.init(maxKeys, c.Per)
	}
	return m, m.logs.init(maxKeys, c.Per)
}

// do does an operation on the quota of a key with n permits.
func (m *memory) do(op operation, at place, key []byte, now time.Duration, n int) Decision {
	switch m.algorithm {
	case FixedWindow:
		return do[window.Counter](op, m.counters.find(at, key, now), m.window, now, n)
	case SlidingWindow:
		return do[window.Log](op, m.logs.find(at, key, now), m.window, now, n)
	case GCRA:
	}
	b := m.buckets.find(at, key, now)
	switch op {
	case check:
		return Decision(b.Check(m.rate, now, n))
	case charge:
		return Decision(b.Charge(m.rate, now, n))
	default:
		return Decision(b.Allow(m.rate, now, n))
	}
}

// windowState is the state of a key whose permits return by windows.
type windowState[S any] interface {
	*S
	Allow(l *window.Limit, now time.Duration, n int) window.Decision
	Check(l *window.Limit, now time.Duration, n int) window.Decision
	Charge(l *window.Limit, now time.Duration, n int) window.Decision
}

func do[S any, P windowState[S]](op operation, state P, l *window.Limit, now time.Duration, n int) Decision {
	switch op {
	case check:
		return Decision(state.Check(l, now, n))
	case charge:
		return Decision(state.Charge(l, now, n))
	default:
		return Decision(state.Allow(l, now, n))
	}
}

// table holds states of type S.
type table[S any] struct {
	all    S
	byKey  *keyed.Map[S]
	byPeer *keyed.Map[S]
}

// grace is added to the time after which a state equals a new one. States accept readings of
// the clock that are up to 10 s older than others, and keyed.Map has the time of the last
// use with a resolution of a millisecond.
const grace = 11 * time.Second

func (t *table[S]) init(maxKeys int, whole time.Duration) (err error) {
	config := keyed.Config{MaxKeys: maxKeys, Idle: whole + grace}
	if t.byKey, err = keyed.New[S](config, nil); err != nil {
		return err
	}
	t.byPeer, err = keyed.New[S](config, nil)
	return err
}

// find returns the state of a key.
func (t *table[S]) find(at place, key []byte, now time.Duration) *S {
	switch at {
	case ofKeys:
		return t.byKey.GetBytes(key, now)
	case ofPeers:
		return t.byPeer.GetBytes(key, now)
	default:
		return &t.all
	}
}

func (t *table[S]) size() (keys int, evicted uint64) {
	if t.byKey == nil {
		return 0, 0
	}
	return t.byKey.Len() + t.byPeer.Len(), t.byKey.Evicted() + t.byPeer.Evicted()
}

func (m *memory) size() (keys int, evicted uint64) {
	for _, size := range []func() (int, uint64){m.buckets.size, m.counters.size, m.logs.size} {
		k, e := size()
		keys, evicted = keys+k, evicted+e
	}
	return keys, evicted
}

// Keys returns how many keys and peers are kept, including those whose quota is whole and
// that were not removed yet. Safe for concurrent use.
func (x *Interceptor) Keys() int {
	sum := 0
	for i := range x.limits {
		keys, _ := x.limits[i].memory.size()
		sum += keys
	}
	return sum
}

// Evicted returns how many keys and peers were evicted. If it grows, MaxKeys is too small for
// those in use, or a caller invents keys. Safe for concurrent use.
func (x *Interceptor) Evicted() uint64 {
	sum := uint64(0)
	for i := range x.limits {
		_, evicted := x.limits[i].memory.size()
		sum += evicted
	}
	return sum
}
