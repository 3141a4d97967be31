package concurrency

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/gradient"
	"github.com/hauberk-rpc/hauberk/internal/engine/inflight"
)

// group is the calls that share a limit.
type group struct {
	limiter  *inflight.Limiter
	gradient *gradient.Limit // nil if the limit is fixed

	// Guarded by the lock of the table.
	key          groupKey
	calls        int // in flight, waiting, or between messages
	older, newer *group
}

// groupKey is a key, or the SHA-256 of a long one. No key is equal to the digest of another.
type groupKey struct {
	text   string
	digest bool
}

// name returns the key, or a readable form of its digest.
func (k groupKey) name() string {
	if k.digest {
		return "sha256:" + hex.EncodeToString([]byte(k.text))
	}
	return k.text
}

// table has a group for each key. Groups without calls are in a list, the least recently used
// first. Groups with calls are never removed, since their calls hold slots.
type table struct {
	make func() *group
	most int // groups without calls

	mu      sync.Mutex
	groups  map[groupKey]*group
	idle    group // the ends of the list
	unused  int   // the length of the list
	evicted uint64
	past    inflight.Snapshot // the counters of groups that were removed
}

func newTable(most int, makeGroup func() *group) *table {
	t := &table{make: makeGroup, most: most, groups: make(map[groupKey]*group)}
	t.idle.older, t.idle.newer = &t.idle, &t.idle
	return t
}

// maxText is the greatest length of a key that is kept unchanged.
const maxText = 128

// enter returns the group of a key for one call, which leaves it in the end.
func (t *table) enter(key []byte) *group {
	digest := len(key) > maxText
	if digest {
		sum := sha256.Sum256(key)
		key = sum[:]
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.groups[groupKey{string(key), digest}]
	switch {
	case g == nil:
		g = t.make()
		g.key = groupKey{string(key), digest}
		t.groups[g.key] = g
	case g.calls == 0:
		g.older.newer, g.newer.older = g.newer, g.older
		t.unused--
	}
	g.calls++
	return g
}

// leave ends the use of a group by a call.
func (t *table) leave(g *group) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g.calls--
	if g.calls > 0 {
		return
	}
	g.older, g.newer = t.idle.older, &t.idle
	g.older.newer, t.idle.older = g, g
	t.unused++
	if t.unused <= t.most {
		return
	}
	last := t.idle.newer
	t.idle.newer, last.newer.older = last.newer, &t.idle
	delete(t.groups, last.key)
	t.unused--
	t.evicted++
	t.past = plus(t.past, last.limiter.Snapshot())
}

// all returns the groups, and the counters of those that were removed.
func (t *table) all() (groups []*group, past inflight.Snapshot, evicted uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	groups = make([]*group, 0, len(t.groups))
	for _, g := range t.groups {
		groups = append(groups, g)
	}
	return groups, t.past, t.evicted
}

// plus adds up calls and counters.
func plus(a, b inflight.Snapshot) inflight.Snapshot {
	a.Running += b.Running
	a.Waiting += b.Waiting
	a.Admitted += b.Admitted
	a.Full += b.Full
	a.Waited += b.Waited
	a.NoTime += b.NoTime
	a.Displaced += b.Displaced
	a.Left += b.Left
	return a
}

// newGroup returns a group without calls.
func (x *Interceptor) newGroup() *group {
	c := inflight.Config{
		Limit: x.config.Limit, MaxWaiting: x.config.MaxWaiting, MaxWait: x.config.MaxWait, Hold: x.config.Hold,
		Timed: x.timed,
	}
	g := new(group)
	if x.config.Adaptive != nil {
		g.gradient = gradient.New(gradient.Config(*x.config.Adaptive))
		c.Limit = g.gradient.Value()
	}
	g.limiter = inflight.New(c)
	return g
}

// release frees a slot, and lets the duration change an adaptive limit.
func (g *group) release(now func() time.Duration, s *inflight.Slot, o gradient.Outcome) {
	if !g.limiter.Timed() {
		g.limiter.Release(0, s, false)
		return
	}
	end, began := now(), s.Started()
	running := g.limiter.Release(end, s, o == gradient.Success)
	if g.gradient == nil {
		return
	}
	if limit, changed := g.gradient.Record(began, end, running, o); changed {
		g.limiter.SetLimit(end, limit)
	}
}
