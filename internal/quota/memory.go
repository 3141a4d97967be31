// Package quota keeps the quotas of a rate limit in the memory of this process.
package quota

import (
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/gcra"
	"github.com/hauberk-rpc/hauberk/internal/engine/keyed"
	"github.com/hauberk-rpc/hauberk/internal/engine/window"
)

// Operation is what is done to a quota.
type Operation uint8

// The operations.
const (
	Take   Operation = iota // takes permits if there are enough
	Check                   // says whether there are enough
	Charge                  // takes permits in any case, or gives them back
)

// Place is where the quota of a key is. Keys and peers are apart, so that neither can be
// mistaken for the other or displace it.
type Place uint8

// The places.
const (
	OfKeys Place = iota
	OfPeers
	OfAll // there is one quota
)

// Algorithm is how permits return.
type Algorithm uint8

// The algorithms, in the order of those of package ratelimit.
const (
	GCRA Algorithm = iota
	SlidingWindow
	FixedWindow
)

// Limit is the limit of a Memory.
type Limit struct {
	Permits   int // that return in each Per
	Per       time.Duration
	Burst     int // for GCRA
	Algorithm Algorithm
	Debt      bool // Charge can take more than there is
}

// Part returns what one of several nodes admits by itself: at least 1 permit.
func (l Limit) Part(nodes int) Limit {
	l.Permits, l.Burst = (l.Permits-1)/nodes+1, (l.Burst-1)/nodes+1
	return l
}

// Decision is the answer to one request for permits.
type Decision struct {
	OK         bool
	RetryAfter time.Duration
	Remaining  int
	ResetAfter time.Duration
}

// Memory has the quotas of one limit in this process. Only the parts for its algorithm are used.
// It is one type, without interfaces, so that keys do not escape to the heap. Safe for concurrent
// use. Create it with [New].
type Memory struct {
	algorithm Algorithm
	rate      *gcra.Limit
	buckets   table[gcra.Bucket]
	window    *window.Limit
	counters  table[window.Counter]
	logs      table[window.Log]
}

// New returns the quotas of a limit, for at most maxKeys keys and as many peers. It reports values
// that the algorithm does not have.
func New(l Limit, maxKeys int) (m *Memory, err error) {
	m = &Memory{algorithm: l.Algorithm}
	if l.Algorithm == GCRA {
		if m.rate, err = gcra.New(l.Permits, l.Per, l.Burst); err != nil {
			return nil, err
		}
		whole := new(gcra.Bucket).Allow(m.rate, 0, l.Burst).ResetAfter
		if l.Debt {
			m.rate = m.rate.WithDebt()
			whole = new(gcra.Bucket).Charge(m.rate, 0, l.Burst+l.Burst).ResetAfter
		}
		return m, m.buckets.init(maxKeys, whole)
	}
	if m.window, err = window.New(l.Permits, l.Per); err != nil {
		return nil, err
	}
	if l.Algorithm == FixedWindow {
		return m, m.counters.init(maxKeys, l.Per)
	}
	return m, m.logs.init(maxKeys, l.Per)
}

// Do does an operation on the quota of a key with n permits.
func (m *Memory) Do(op Operation, at Place, key []byte, now time.Duration, n int) Decision {
	switch m.algorithm {
	case FixedWindow:
		return do[window.Counter](op, m.counters.find(at, key, now), m.window, now, n)
	case SlidingWindow:
		return do[window.Log](op, m.logs.find(at, key, now), m.window, now, n)
	case GCRA:
	}
	b := m.buckets.find(at, key, now)
	switch op {
	case Check:
		return Decision(b.Check(m.rate, now, n))
	case Charge:
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

func do[S any, P windowState[S]](op Operation, state P, l *window.Limit, now time.Duration, n int) Decision {
	switch op {
	case Check:
		return Decision(state.Check(l, now, n))
	case Charge:
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
func (t *table[S]) find(at Place, key []byte, now time.Duration) *S {
	switch at {
	case OfKeys:
		return t.byKey.GetBytes(key, now)
	case OfPeers:
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

// Size returns how many keys and peers are kept, and how many were evicted.
func (m *Memory) Size() (keys int, evicted uint64) {
	for _, size := range []func() (int, uint64){m.buckets.size, m.counters.size, m.logs.size} {
		k, e := size()
		keys, evicted = keys+k, evicted+e
	}
	return keys, evicted
}
