package keyed_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hauberk-rpc/hauberk/internal/engine/keyed"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

func TestNew(t *testing.T) {
	for _, c := range []struct {
		name   string
		config keyed.Config
		err    string
	}{
		{"least", keyed.Config{MaxKeys: 1}, ""},
		{"greatest", keyed.Config{MaxKeys: math.MaxInt, Idle: math.MaxInt64}, ""},
		{"zero", keyed.Config{}, "keyed: at most 0 keys; want at least 1"},
		{"negative", keyed.Config{MaxKeys: -1}, "keyed: at most -1 keys; want at least 1"},
		{"negative idle", keyed.Config{MaxKeys: 1, Idle: -1}, "keyed: keys idle after -1ns; want 0 for never, or more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := keyed.New[state](c.config, nil)
			if c.err == "" && err != nil || c.err != "" && (err == nil || err.Error() != c.err) {
				t.Fatalf("error %v, want %q", err, c.err)
			}
			if (m == nil) != (err != nil) {
				t.Errorf("map %v with error %v", m, err)
			}
		})
	}
}

// Each key has its own state, which does not change, for keys of all kinds.
func TestDistinctKeys(t *testing.T) {
	long := strings.Repeat("k", 64<<10)
	sum := sha256.Sum256([]byte(long))
	keys := []string{
		"", " ", "\x00", "a:b", "a", "b", "a:", ":b", "{}", "{a}", "a\r\nb", "a\nb", "a\rb", "é", "e\u0301",
		string(sum[:]), "sha256:" + hex.EncodeToString(sum[:]), hex.EncodeToString(sum[:]),
		strings.Repeat("k", 128), strings.Repeat("k", 129), strings.Repeat("k", 130),
		strings.Repeat("\x00", 128), strings.Repeat("\x00", 129),
		long, long[1:], long + "k", long[1:] + "l", "l" + long[1:],
	}
	m := must[state](t, keyed.Config{MaxKeys: 1000}, nil)
	owner := make(map[*state]string)
	for _, key := range keys {
		s := m.Get(key, 0)
		if other, ok := owner[s]; ok {
			t.Errorf("%.40q and %.40q share a state", key, other)
		}
		owner[s] = key
	}
	for now := range 3 * time.Millisecond {
		if now%(500*time.Microsecond) != 0 {
			continue
		}
		for _, key := range keys {
			if owner[m.Get(strings.Clone(key), now)] != key {
				t.Errorf("%.40q has another state after %v", key, now)
			}
		}
	}
	if m.Len() != len(keys) || m.Evicted() != 0 {
		t.Errorf("%d keys, %d evicted, want %d and 0", m.Len(), m.Evicted(), len(keys))
	}
}

func TestSetup(t *testing.T) {
	type named struct {
		name string
		uses int
	}
	m := must(t, keyed.Config{MaxKeys: 10}, func(key string, s *named) { s.name, s.uses = key, 100 })
	long := strings.Repeat("k", 1000)
	sum := sha256.Sum256([]byte(long))
	for key, want := range map[string]string{"short": "short", long: "sha256:" + hex.EncodeToString(sum[:])} {
		m.Get(key, 0).uses++
		if got := m.Get(key, time.Second); got.name != want || got.uses != 101 {
			t.Errorf("%.40q: %+v, want set up once as %q", key, *got, want)
		}
	}
}

// A setup that panics leaves neither the key in the map nor the lock held.
func TestSetupPanics(t *testing.T) {
	broken := true
	m := must(t, keyed.Config{MaxKeys: 10}, func(string, *state) {
		if broken {
			panic("broken")
		}
	})
	func() {
		defer func() {
			if r := recover(); r != "broken" {
				t.Errorf("recovered %v, want the panic of setup", r)
			}
		}()
		m.Get("key", 0)
	}()
	broken = false
	if m.Len() != 0 || m.Get("key", 0) == nil {
		t.Errorf("%d keys, want none after the panic", m.Len())
	}
}

// The key is copied, so that a larger string which contains it can be freed.
func TestKeyIsCopied(t *testing.T) {
	m := must[state](t, keyed.Config{MaxKeys: 1000}, nil)
	before := heap()
	for i := range 1000 {
		large := strings.Repeat(fmt.Sprint(i, " "), 100_000)
		m.Get(large[:20], 0)
	}
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("%d bytes for 1000 short keys", grown)
	}
	runtime.KeepAlive(m)
}

// A map for a hundred thousand keys receives a million.
func TestMaxKeys(t *testing.T) {
	const most, keys = 100_000, 1_000_000
	m := must[state](t, keyed.Config{MaxKeys: most, Idle: time.Hour}, nil)
	before := heap()
	for i := range keys {
		m.Get("user-"+strconv.Itoa(i), time.Duration(i)*10*time.Microsecond)
		if i%10_000 == 0 && m.Len() > most {
			t.Fatalf("%d keys after %d", m.Len(), i)
		}
	}
	if m.Len() != most || m.Evicted() != keys-most {
		t.Errorf("%d keys, %d evicted, want %d and %d", m.Len(), m.Evicted(), most, keys-most)
	}
	each := float64(heap()-before) / most
	t.Logf("%.0f bytes a key", each)
	if each > 200 {
		t.Errorf("%.0f bytes a key of 11 bytes with a state of 8, want at most 200", each)
	}
	for i := keys - most*9/10; i < keys; i++ {
		m.Get("user-"+strconv.Itoa(i), 10*time.Second)
	}
	if m.Evicted() != keys-most {
		t.Errorf("%d of the %d keys used last were gone", m.Evicted()-(keys-most), most*9/10)
	}
}

func TestLongKeysAreBounded(t *testing.T) {
	m := must[state](t, keyed.Config{MaxKeys: 1000}, nil)
	tail := strings.Repeat("k", 64<<10)
	before := heap()
	for i := range 2000 {
		m.Get(fmt.Sprint(i, tail), 0)
	}
	if grown := heap() - before; grown > 256<<10 || m.Len() != 1000 {
		t.Errorf("%d bytes for %d keys of 64 KiB", grown, m.Len())
	}
	runtime.KeepAlive(m)
}

// Calls for one other key free the memory of unused keys.
func TestIdleKeysAreGivenBack(t *testing.T) {
	m := must[state](t, keyed.Config{MaxKeys: 1_000_000, Idle: time.Minute}, nil)
	for _, key := range names(50_000) {
		m.Get(key, 0)
	}
	before := heap()
	now := time.Minute + 1
	for range 20_000 {
		m.Get("busy", now)
		now += time.Millisecond
	}
	if m.Len() != 1 || m.Evicted() != 0 {
		t.Errorf("%d keys, %d evicted, want the busy one alone", m.Len(), m.Evicted())
	}
	if given := before - heap(); given < 50_000*100 {
		t.Errorf("%d bytes given back, want at least 100 for each key", given)
	}
	runtime.KeepAlive(m)
}

// If the clock does not advance, keys are evicted in the order in which they were added.
func TestClockStandsStillOrIsSetBack(t *testing.T) {
	for name, at := range map[string]func(i int) time.Duration{
		"still":    func(int) time.Duration { return time.Hour },
		"set back": func(i int) time.Duration { return -time.Duration(i) * time.Hour },
		"least":    func(i int) time.Duration { return math.MinInt64 + time.Duration(i) },
		"wraps":    func(i int) time.Duration { return time.Duration(math.MaxInt64-5) + time.Duration(i) },
	} {
		m := must[state](t, keyed.Config{MaxKeys: 10, Idle: time.Minute}, nil)
		states := make(map[string]*state)
		for i, key := range names(100) {
			states[key] = m.Get(key, at(i))
		}
		for _, key := range names(100)[90:] {
			if m.Get(key, at(99)) != states[key] {
				t.Errorf("%s: %s is gone, one of the last 10", name, key)
			}
		}
		if m.Len() != 10 {
			t.Errorf("%s: %d keys, want 10", name, m.Len())
		}
	}
}

func TestAll(t *testing.T) {
	m := must[state](t, keyed.Config{MaxKeys: 100_000}, nil)
	for i, key := range names(10_000) {
		m.Get(key, 0).hits.Store(int64(i))
	}
	found := make(map[string]int64)
	for key, s := range m.All() {
		found[key] = s.hits.Load()
		m.Get(key, time.Hour) // the Map is not locked
	}
	for i, key := range names(10_000) {
		if n, ok := found[key]; !ok || n != int64(i) {
			t.Fatalf("%s: %d, %v, want %d", key, n, ok, i)
		}
	}
	seen := 0
	for range m.All() {
		seen++
		if seen == 3 {
			break
		}
	}
	if seen != 3 || len(found) != 10_000 {
		t.Errorf("%d keys, and %d before the break", len(found), seen)
	}
}

func TestAllocations(t *testing.T) {
	m := must[state](t, keyed.Config{MaxKeys: 100, Idle: time.Minute}, nil)
	long, now := strings.Repeat("k", 64<<10), time.Duration(0)
	for name, f := range map[string]func(){
		"used just now":       func() { m.Get("key", now) },
		"used 2 ms ago":       func() { now += 2 * time.Millisecond; m.Get("key", now) },
		"long, used just now": func() { m.Get(long, now) },
		"long, used 2 ms ago": func() { now += 2 * time.Millisecond; m.Get(long, now) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: Get allocates %v times", name, n)
		}
	}
}

// Concurrent goroutines that add keys, while tables grow, get the same state for a key.
func TestConcurrentNewKeys(t *testing.T) {
	const goroutines = 8
	keys := names(20_000)
	m := must[state](t, keyed.Config{MaxKeys: 40_000, Idle: time.Hour}, nil)
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for i, key := range keys {
				m.Get(key, time.Duration(i)*time.Microsecond).hits.Add(1)
			}
		})
	}
	wg.Wait()
	for _, key := range keys {
		if n := m.Get(key, 0).hits.Load(); n != goroutines {
			t.Fatalf("%s has %d hits, want %d", key, n, goroutines)
		}
	}
}

// Keys are added and evicted while other goroutines read. The bound holds at all times, and a
// key that is always in use is never evicted.
func TestConcurrentChurn(t *testing.T) {
	const most = 2000
	m := must[state](t, keyed.Config{MaxKeys: most, Idle: 50 * time.Millisecond}, nil)
	var clock, used atomic.Int64
	busy := m.Get("busy", 0)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 30_000 {
				now := time.Duration(clock.Add(int64(2 * time.Microsecond)))
				m.Get(fmt.Sprintf("%d-%d", g, i), now).hits.Add(1)
				m.Get(fmt.Sprintf("shared-%d", i%500), now).hits.Add(1)
				m.Get("busy", now).hits.Add(1)
				used.Add(1)
				if i%1000 == 0 && m.Len() > most {
					t.Errorf("%d keys, want at most %d", m.Len(), most)
				}
			}
		})
	}
	wg.Wait()
	if m.Get("busy", time.Duration(clock.Load())) != busy || busy.hits.Load() != used.Load() {
		t.Errorf("the busy key was lost: %d hits of %d", busy.hits.Load(), used.Load())
	}
}

// Keys that were in use while there was room are not evicted when other keys fill the map, if they are still in use.
func TestInUseWhileItFills(t *testing.T) {
	m := must[state](t, keyed.Config{MaxKeys: 2048, Idle: time.Minute}, nil)
	keys, states := names(100), make(map[string]*state)
	now := time.Duration(0)
	for i := range 200_000 {
		now += 10 * time.Microsecond
		key := keys[i%len(keys)]
		if s := m.Get(key, now); states[key] == nil {
			states[key] = s
		} else if s != states[key] {
			t.Fatalf("%s, which is in use, was evicted after %v", key, now)
		}
		if i > 100_000 {
			m.Get("new-"+strconv.Itoa(i), now)
		}
	}
	if m.Evicted() == 0 {
		t.Error("the map was never full")
	}
}

// A state that was removed still works for its holder, and affects no other key.
func TestForgottenState(t *testing.T) {
	m := must[state](t, keyed.Config{MaxKeys: 1}, nil)
	first := m.Get("a", 0)
	m.Get("b", time.Second)
	first.hits.Add(1)
	if again := m.Get("a", 2*time.Second); again == first || again.hits.Load() != 0 {
		t.Error("the forgotten state of a came back")
	}
}

func TestAgainstModel(t *testing.T) {
	testseed.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 20).Draw(t, "most")
		idle := time.Duration(rapid.IntRange(0, 50).Draw(t, "idle")) * time.Millisecond
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{
				after: rapid.OneOf(rapid.Just(1), rapid.IntRange(1, 5), rapid.IntRange(1, 60)).Draw(t, "ms"),
				key:   rapid.IntRange(0, 30).Draw(t, "key"),
			}
		}), 1, 200).Draw(t, "steps")
		checkModel(t, most, idle, steps)
	})
}

// FuzzGet compares a small Map with a simple model.
func FuzzGet(f *testing.F) {
	f.Add(3, 20, []byte{1, 1, 1, 2, 1, 3, 1, 1, 1, 4, 1, 2, 30, 1})
	f.Add(1, 0, []byte("any bytes will do"))
	f.Fuzz(func(t *testing.T, most, idle int, moves []byte) {
		var steps []step
		for ; len(moves) >= 2 && len(steps) < 500; moves = moves[2:] {
			steps = append(steps, step{int(moves[0])%64 + 1, int(moves[1]) % 64})
		}
		checkModel(t, most&63+1, time.Duration(idle&127)*time.Millisecond, steps)
	})
}

type step struct {
	after int // ms; the resolution of the map
	key   int
}

// checkModel compares each state with that of a list in order of use.
func checkModel(t rapid.TB, most int, idle time.Duration, steps []step) {
	t.Helper()
	serial := 0
	m := must(t, keyed.Config{MaxKeys: most, Idle: idle}, func(_ string, s *int) { serial++; *s = serial })
	var now time.Duration
	var list []use // the least recent first
	made := 0
	for _, st := range steps {
		now += time.Duration(st.after) * time.Millisecond
		for len(list) > 0 && idle > 0 && now-list[0].at > idle {
			list = list[1:]
		}
		u := use{key: st.key, at: now}
		for i := range list {
			if list[i].key == st.key {
				u.state = list[i].state
				list = append(list[:i:i], list[i+1:]...)
				break
			}
		}
		if u.state == 0 {
			made++
			u.state = made
			if len(list) == most {
				list = list[1:]
			}
		}
		list = append(list, u)
		key := strings.Repeat("k", st.key*6) + fmt.Sprint(st.key) // some are long
		if got := *m.Get(key, now); got != u.state {
			t.Fatalf("key %d at %v: state %d, want %d", st.key, now, got, u.state)
		}
		if m.Len() < len(list) || m.Len() > most {
			t.Fatalf("%d keys, want at least the %d in use and at most %d", m.Len(), len(list), most)
		}
	}
}

type use struct {
	key, state int
	at         time.Duration
}

type state struct{ hits atomic.Int64 }

func names(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("user-%06d@example.com", i)
	}
	return keys
}

// heap returns the bytes in use.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func must[S any](t interface {
	Helper()
	Fatal(args ...any)
}, c keyed.Config, setup func(key string, state *S),
) *keyed.Map[S] {
	t.Helper()
	m, err := keyed.New(c, setup)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
