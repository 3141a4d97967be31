package idempotency

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// The defaults of [MemoryConfig].
const (
	DefaultMaxKeys  = 1 << 19
	DefaultMaxBytes = 256 << 20
)

// ErrFull is found by errors.Is in the error of a [Store] that has no room. A [Memory] evicts no keys before their
// time: their effects could be executed again.
var ErrFull = errors.New("the store of idempotency keys is full")

// recordBytes is about what a key takes in addition to its outcome, in bytes. Outcomes of at most smallOutcome bytes
// are part of it, so that a key always has room for the fact that its call was executed.
const (
	recordBytes  = 320
	smallOutcome = 16
)

// size is what a key with an outcome takes.
func size(outcome []byte) int64 { return recordBytes + max(0, int64(len(outcome)-smallOutcome)) }

// MemoryConfig bounds a [Memory]. It must hold the keys of [Config.TTL], since new keys have no room in a full one:
// with the defaults of both, those of 145 calls a second, or of 55 with outcomes of 1 KiB.
type MemoryConfig struct {
	// MaxKeys is the number of keys. The default is DefaultMaxKeys.
	MaxKeys int
	// MaxBytes is the size of the keys and outcomes; a key takes about 320 bytes. The default is
	// DefaultMaxBytes. An outcome that is given when there is no room is an error of Finish; of its call then
	// only is kept that it was executed.
	MaxBytes int64
}

// Memory is a [Store] in the memory of the process. Make it with [NewMemory].
type Memory struct {
	config MemoryConfig
	err    error

	mu      sync.Mutex
	records map[Key]*record
	expiry  byExpiry
	bytes   int64
}

// record is the state of one key.
type record struct {
	key      Key
	owner    string
	of       Fingerprint
	finished bool
	outcome  []byte
	expires  time.Time
	place    int // in the heap
}

// NewMemory returns an empty store. [New] reports what is wrong with its configuration.
func NewMemory(config MemoryConfig) *Memory {
	config.MaxKeys = cmp.Or(config.MaxKeys, DefaultMaxKeys)
	config.MaxBytes = cmp.Or(config.MaxBytes, DefaultMaxBytes)
	m := &Memory{config: config, records: make(map[Key]*record)}
	fail := func(format string, args ...any) { m.err = errors.Join(m.err, fmt.Errorf(format, args...)) }
	if config.MaxKeys < 1 {
		fail("MaxKeys is %d; want at least 1, or 0 for %d", config.MaxKeys, DefaultMaxKeys)
	}
	if config.MaxBytes < recordBytes {
		fail("MaxBytes is %d; want at least %d, or 0 for %d", config.MaxBytes, recordBytes, DefaultMaxBytes)
	}
	return m
}

// Validate returns what is wrong with the configuration.
func (m *Memory) Validate() error {
	if m == nil || m.records == nil {
		return errors.New("a zero Memory has no room; make one with idempotency.NewMemory")
	}
	return m.err
}

// Begin is that of [Store]. It returns [ErrFull] if there is no room.
func (m *Memory) Begin(_ context.Context, key Key, owner string, of Fingerprint, lease time.Duration) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	r := m.current(key, now)
	switch {
	case r == nil:
		if !m.makeRoom(1, recordBytes, now) {
			return Record{}, ErrFull
		}
		m.add(&record{key: key, owner: owner, of: of, expires: now.Add(lease)})
		return Record{State: Owned, Fingerprint: of}, nil
	case r.finished:
		return Record{State: Finished, Fingerprint: r.of, Outcome: r.outcome}, nil
	case r.owner == owner:
		return Record{State: Owned, Fingerprint: r.of}, nil
	default:
		return Record{State: Running, Fingerprint: r.of}, nil
	}
}

// Renew is that of [Store].
func (m *Memory) Renew(_ context.Context, key Key, owner string, lease time.Duration) (held bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	r := m.current(key, now)
	if r == nil || r.owner != owner || r.finished {
		return false, nil
	}
	r.expires = now.Add(lease)
	heap.Fix(&m.expiry, r.place)
	return true, nil
}

// Finish is that of [Store]. It returns [ErrFull] if there is no room.
func (m *Memory) Finish(
	_ context.Context, key Key, owner string, of Fingerprint, outcome []byte, ttl time.Duration,
) (held bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	r := m.current(key, now)
	if r != nil && (r.owner != owner || r.finished) {
		return r.owner == owner, nil
	}
	keys, bytes := 1, size(outcome)
	if r != nil {
		keys, bytes = 0, bytes-size(r.outcome)
	}
	if !m.makeRoom(keys, bytes, now) {
		return false, ErrFull
	}
	if r != nil {
		m.remove(r)
	}
	m.add(&record{key: key, owner: owner, of: of, finished: true, outcome: outcome, expires: now.Add(ttl)})
	return true, nil
}

// Release is that of [Store].
func (m *Memory) Release(_ context.Context, key Key, owner string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.current(key, time.Now()); r != nil && r.owner == owner && !r.finished {
		m.remove(r)
	}
	return nil
}

// Len returns the number of keys and their size in bytes.
func (m *Memory) Len() (keys int, bytes int64) {
	for {
		m.mu.Lock()
		more := m.expire(time.Now())
		keys, bytes = len(m.records), m.bytes
		m.mu.Unlock()
		if !more {
			return keys, bytes
		}
	}
}

// current returns the record of a key, or nil, after it has removed what has expired. The lock is held.
func (m *Memory) current(key Key, now time.Time) *record {
	m.expire(now)
	r := m.records[key]
	if r != nil && !now.Before(r.expires) {
		m.remove(r)
		return nil
	}
	return r
}

// expiredAtOnce is how many records one operation removes: after a time without calls there may be hundreds of
// thousands, for which all calls would wait.
const expiredAtOnce = 64

// expire removes records that have expired, and reports whether there are more. The lock is held.
func (m *Memory) expire(now time.Time) (more bool) {
	for range expiredAtOnce {
		if !m.removeExpired(now) {
			return false
		}
	}
	return true
}

// removeExpired removes the record that expires first, and reports whether it has expired. The lock is held.
func (m *Memory) removeExpired(now time.Time) bool {
	if len(m.expiry) == 0 || now.Before(m.expiry[0].expires) {
		return false
	}
	m.remove(m.expiry[0])
	return true
}

// makeRoom removes what has expired until there is room for more, and reports whether there is. The lock is held.
func (m *Memory) makeRoom(keys int, bytes int64, now time.Time) bool {
	for keys > 0 && len(m.records)+keys > m.config.MaxKeys || bytes > 0 && m.bytes+bytes > m.config.MaxBytes {
		if !m.removeExpired(now) {
			return false
		}
	}
	return true
}

// add adds a record. The lock is held.
func (m *Memory) add(r *record) {
	m.records[r.key] = r
	m.bytes += size(r.outcome)
	heap.Push(&m.expiry, r)
}

// remove removes a record. The lock is held.
func (m *Memory) remove(r *record) {
	delete(m.records, r.key)
	m.bytes -= size(r.outcome)
	heap.Remove(&m.expiry, r.place)
}

// byExpiry is a heap of records: the first expires first.
type byExpiry []*record

// Len is that of [heap.Interface].
func (h *byExpiry) Len() int { return len(*h) }

// Less is that of [heap.Interface].
func (h *byExpiry) Less(i, j int) bool { return (*h)[i].expires.Before((*h)[j].expires) }

// Swap is that of [heap.Interface].
func (h *byExpiry) Swap(i, j int) {
	all := *h
	all[i], all[j] = all[j], all[i]
	all[i].place, all[j].place = i, j
}

// Push is that of [heap.Interface].
func (h *byExpiry) Push(r any) {
	r.(*record).place = len(*h)
	*h = append(*h, r.(*record))
}

// Pop is that of [heap.Interface].
func (h *byExpiry) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return r
}
