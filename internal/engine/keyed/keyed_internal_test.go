package keyed

import (
	"strconv"
	"testing"
	"time"
)

// Tables grow and shrink with their keys, so that chains stay short and memory is freed.
func TestTableSize(t *testing.T) {
	m, err := New[int](Config{MaxKeys: 10_000, Idle: time.Minute}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10_000 {
		m.Get(strconv.Itoa(i), 0)
	}
	for i := range m.shards {
		if s := &m.shards[i]; len(*s.slots.Load()) < s.keys {
			t.Errorf("%d slots for %d keys", len(*s.slots.Load()), s.keys)
		}
	}
	for i := range 4000 {
		m.Get("busy", time.Hour+time.Duration(i)*time.Millisecond)
	}
	for i := range m.shards {
		if s := &m.shards[i]; len(*s.slots.Load()) > minSlots {
			t.Errorf("%d slots for %d keys", len(*s.slots.Load()), s.keys)
		}
	}
}

// The parts of the shards add up to MaxKeys, and none is empty.
func TestShards(t *testing.T) {
	for _, keys := range []int{1, 2, 4096, 8191, 8192, 100_003, 1 << 20, 1 << 40} {
		m, err := New[int](Config{MaxKeys: keys}, nil)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0
		for i := range m.shards {
			if most := m.shards[i].most; most < min(keys, perShard) {
				t.Errorf("%d keys: one of %d shards holds only %d", keys, len(m.shards), most)
			}
			sum += m.shards[i].most
		}
		if n := len(m.shards); sum != keys || n > maxShards || n&(n-1) != 0 {
			t.Errorf("%d keys: %d in %d shards", keys, sum, n)
		}
	}
}

// A shard that is at most half full records one use in a millisecond, however many keys are in use, and a fuller one
// those of all keys.
func TestLocksOfRoomyShard(t *testing.T) {
	const keys, uses = 500, 10_000 // of each key 20, 5 ms apart
	for most, want := range map[int]int{4096: 100, 600: uses} {
		m, err := New[int](Config{MaxKeys: most, Idle: time.Minute}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range keys {
			m.Get(strconv.Itoa(i), 0)
		}
		for i := range uses {
			m.Get(strconv.Itoa(i%keys), time.Duration(i+1)*10*time.Microsecond)
		}
		if got := m.shards[0].turns - keys; got < want-100 || got > want {
			t.Errorf("%d of %d keys: %d locks for %d uses, want about %d", keys, most, got, uses, want)
		}
	}
}
