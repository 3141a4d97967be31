package concurrency

import (
	"math"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/internal/engine/inflight"
)

// Snapshot is the calls of an interceptor at one moment, and what became of those before.
type Snapshot struct {
	Running int // calls in flight, for a gauge
	Waiting int // calls that wait, for a gauge
	Keys    int // keys and peers that are kept

	Admitted    uint64 // calls that got a slot, or messages with ForMessages
	Full        uint64 // rejected with ReasonFull
	Waited      uint64 // rejected with ReasonWaited
	Displaced   uint64 // rejected with ReasonDisplaced
	NoTime      uint64 // rejected with ReasonNoTime
	Cancelled   uint64 // calls that ended while they waited
	Shed        uint64 // rejected with ReasonLoad
	EvictedKeys uint64 // keys that were removed because there are more than MaxKeys

	Load     float64 // as last measured; 0 without Config.Load
	Shedding bool    // calls are rejected because of the load
}

// Snapshot returns the sums over all keys. Calls and counters of different keys are read one
// after the other. Safe for concurrent use.
func (x *Interceptor) Snapshot() Snapshot {
	var s Snapshot
	if x.gate != nil {
		s.Shed, s.Shedding = x.gate.rejected.Load(), x.gate.shedding.Load()
		s.Load = math.Float64frombits(x.gate.load.Load())
	}
	var sum inflight.Snapshot
	if x.whole != nil {
		sum = x.whole.limiter.Snapshot()
	}
	for _, t := range []*table{x.byKey, x.byPeer} {
		if t == nil { // of a zero Interceptor
			continue
		}
		groups, past, evicted := t.all()
		sum = plus(sum, past)
		for _, g := range groups {
			sum = plus(sum, g.limiter.Snapshot())
		}
		s.Keys += len(groups)
		s.EvictedKeys += evicted
	}
	s.Running, s.Waiting, s.Admitted = sum.Running, sum.Waiting, sum.Admitted
	s.Full, s.Waited, s.Displaced, s.NoTime, s.Cancelled = sum.Full, sum.Waited, sum.Displaced, sum.NoTime, sum.Left
	return s
}

// Limit is the limit of one key at one moment.
type Limit struct {
	Key     string // "" for all calls; one of more than 128 bytes is its SHA-256
	Peer    bool   // Key is a peer, of calls without a key
	Limit   int
	Running int // calls in flight
	Waiting int // calls that wait
	Tenants int // that have a share
}

// Limits returns the limit of each key that is kept, in the order of the keys. Keys may be names of
// users: metrics should not have them. Safe for concurrent use.
func (x *Interceptor) Limits() []Limit {
	var limits []Limit
	add := func(g *group, peer bool) {
		s, name := g.limiter.Snapshot(), g.key.name()
		if peer && !g.key.digest {
			name = callkey.PeerName(name)
		}
		limits = append(limits, Limit{name, peer, s.Limit, s.Running, s.Waiting, s.Tenants})
	}
	if x.whole != nil && x.config.By.IsGlobal() {
		add(x.whole, false)
	}
	for _, t := range []*table{x.byKey, x.byPeer} {
		if t == nil {
			continue
		}
		groups, _, _ := t.all()
		slices.SortFunc(groups, func(a, b *group) int { return strings.Compare(a.key.name(), b.key.name()) })
		for _, g := range groups {
			add(g, t == x.byPeer)
		}
	}
	return limits
}
