package keyed

import (
	"sync"
	"sync/atomic"
	"time"
)

const minSlots = 8

// shard is a hash table that is read without its lock, and a list in order of use.
type shard[S any] struct {
	mu    sync.Mutex // guards all but reading slots and the chains that start there
	slots atomic.Pointer[table[S]]
	ends  entry[S] // newer is the key least recently used, older the one most recently
	keys  int
	most  int
	turns int // calls of Map.obtain

	turned atomic.Int64 // when it was called last, as time.Duration; mu guards writes
	loose  atomic.Bool  // roomy holds; mu guards writes

	precise, roomy time.Duration // a use is not recorded if the last one is not older; see isFresh
}

// table has the heads of chains, for each value of a hash's lower bits.
type table[S any] []atomic.Pointer[entry[S]]

func (t table[S]) of(hash uint64) *atomic.Pointer[entry[S]] { return &t[hash&uint64(len(t)-1)] }

// init prepares a shard for up to most keys, which are removed after the time idle, or never if that is 0.
func (s *shard[S]) init(most int, idle time.Duration) {
	s.most = most
	s.precise, s.roomy = resolution, roomyResolution
	if idle > 0 {
		s.precise, s.roomy = min(s.precise, idle/8), min(s.roomy, idle/8)
	}
	s.count(0)
	s.ends.older, s.ends.newer = &s.ends, &s.ends
	empty := make(table[S], minSlots)
	s.slots.Store(&empty)
}

// find returns the entry of id, or nil. Without the lock it can miss an entry while chains are
// rebuilt. An entry that it returns is the right one. It terminates, since next leads only to
// entries that were later in the chain, or that were moved to a new chain earlier.
func (s *shard[S]) find(id identity) *entry[S] {
	for e := s.slots.Load().of(id.hash).Load(); e != nil; e = e.next.Load() {
		if e.identity == id {
			return e
		}
	}
	return nil
}

// add adds e as the most recently used entry and reports whether it evicted another.
func (s *shard[S]) add(e *entry[S]) (evicted bool) {
	if evicted = s.keys >= s.most; evicted {
		s.remove(s.oldest())
	}
	s.count(+1)
	s.push(e)
	if n := len(*s.slots.Load()); s.keys > n {
		s.resize(2 * n)
	}
	head := s.slots.Load().of(e.hash)
	e.next.Store(head.Load())
	head.Store(e) // from here on, other goroutines can find it
	return evicted
}

func (s *shard[S]) remove(e *entry[S]) {
	e.older.newer, e.newer.older = e.newer, e.older
	at := s.slots.Load().of(e.hash)
	for at.Load() != e {
		at = &at.Load().next
	}
	at.Store(e.next.Load()) // e.next stays, for goroutines that are reading e
	s.count(-1)
	if n := len(*s.slots.Load()); s.keys < n/8 && n > minSlots {
		s.resize(n / 2)
	}
}

// count adds to the number of keys.
func (s *shard[S]) count(added int) {
	s.keys += added
	if loose := s.keys <= s.most/2 && s.most >= roomyKeys; loose != s.loose.Load() {
		s.loose.Store(loose)
	}
}

// isFresh reports whether the use of an entry at a time need not be recorded.
func (s *shard[S]) isFresh(e *entry[S], now time.Duration) bool {
	age := uint64(now - e.lastUse())
	return age < uint64(s.precise) ||
		age < uint64(s.roomy) && s.loose.Load() && uint64(int64(now)-s.turned.Load()) < uint64(s.precise)
}

// late is how much earlier than others a reading of the clock may be, since its goroutine was
// delayed. An even earlier reading means that the clock was set back.
const late = 10 * time.Second

// renew makes e the most recently used entry. An early reading does not make it older.
func (s *shard[S]) renew(e *entry[S], now time.Duration) {
	if last := e.lastUse(); now > last || last-now > late {
		e.used.Store(int64(now))
	}
	e.older.newer, e.newer.older = e.newer, e.older
	s.push(e)
}

func (s *shard[S]) push(e *entry[S]) {
	e.older, e.newer = s.ends.older, &s.ends
	e.older.newer, e.newer.older = e, e
}

// oldest returns the entry least recently used, or nil if there is none.
func (s *shard[S]) oldest() *entry[S] {
	if s.keys == 0 {
		return nil
	}
	return s.ends.newer
}

// resize moves all entries to a table of n slots.
func (s *shard[S]) resize(n int) {
	slots := make(table[S], n)
	for i := range *s.slots.Load() {
		for e := (*s.slots.Load())[i].Load(); e != nil; {
			next, head := e.next.Load(), slots.of(e.hash)
			e.next.Store(head.Load())
			head.Store(e)
			e = next
		}
	}
	s.slots.Store(&slots)
}
