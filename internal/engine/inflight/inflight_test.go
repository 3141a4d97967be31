package inflight_test

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/inflight"
)

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		config inflight.Config
		err    string // a part of it, "" for none
	}{
		{"least", inflight.Config{Limit: 1}, ""},
		{"greatest", inflight.Config{Limit: inflight.MaxLimit, MaxWaiting: inflight.MaxWaiting, MaxWait: math.MaxInt64}, ""},
		{"zero", inflight.Config{}, "a limit of 0 calls"},
		{"negative", inflight.Config{Limit: -1}, "a limit of -1 calls"},
		{"absurd", inflight.Config{Limit: math.MaxInt}, "a limit of 9223372036854775807 calls"},
		{"absurd queue", inflight.Config{Limit: 1, MaxWaiting: math.MaxInt}, "waiting calls"},
		{"negative queue", inflight.Config{Limit: 1, MaxWaiting: -1}, "-1 waiting calls"},
		{"no wait", inflight.Config{Limit: 1, MaxWaiting: 1}, "a longest wait of 0s"},
		{"negative wait", inflight.Config{Limit: 1, MaxWait: -1}, "a longest wait of -1ns"},
		{"negative hold", inflight.Config{Limit: 1, Hold: -1}, "a hold of -1ns"},
	} {
		err := c.config.Validate()
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %q", c.name, err, c.err)
		}
		inflight.New(c.config) // does not panic
	}
}

// occupied returns a limiter with a queue and one slot, which tenant a has taken.
func occupied(t *testing.T, waiting int) (l *inflight.Limiter, slot *inflight.Slot) {
	t.Helper()
	l, slot = inflight.New(inflight.Config{Limit: 1, MaxWaiting: waiting, MaxWait: time.Second}), new(inflight.Slot)
	if !l.Try(0, &inflight.Request{Tenant: "a"}, slot) {
		t.Fatal("the first call was rejected")
	}
	return l, slot
}

// order releases the slot again and again, and returns the names of the calls as they are admitted.
func order(l *inflight.Limiter, slot *inflight.Slot, tickets map[string]*inflight.Ticket) (names []string) {
	for range len(tickets) {
		l.Release(0, slot, false)
		for name, k := range tickets {
			if done, err := k.Result(slot); done && err == nil && slot.Held() {
				names = append(names, name)
				delete(tickets, name)
				break
			}
		}
	}
	return names
}

// The next slot goes to the tenant with fewer calls in flight, to the higher priority of one
// tenant, and then to the oldest call.
func TestOrder(t *testing.T) {
	l, slot := occupied(t, 10)
	tickets := make(map[string]*inflight.Ticket)
	for _, c := range []struct {
		name, tenant string
		priority     int
	}{{"old", "x", 0}, {"new", "x", 0}, {"low", "x", -1}, {"high", "x", 1}} {
		tickets[c.name] = l.Enqueue(0, &inflight.Request{Tenant: c.tenant, Priority: c.priority}, func() {})
	}
	if got := strings.Join(order(l, slot, tickets), " "); got != "high old new low" {
		t.Errorf("the order is %s", got)
	}
}

// Between tenants the one below its share comes first, even if the priority of the other is higher.
func TestOrderOfTenants(t *testing.T) {
	l := inflight.New(inflight.Config{Limit: 2, MaxWaiting: 4, MaxWait: time.Second})
	var slots [2]inflight.Slot
	for i := range slots {
		if !l.Try(0, &inflight.Request{Tenant: "loud"}, &slots[i]) {
			t.Fatal("rejected")
		}
	}
	loud := l.Enqueue(0, &inflight.Request{Tenant: "loud", Priority: 9}, func() {})
	quiet := l.Enqueue(0, &inflight.Request{Tenant: "quiet"}, func() {})
	l.Release(0, &slots[0], false)
	if done, err := quiet.Result(&slots[0]); !done || err != nil {
		t.Errorf("quiet: %t, %v", done, err)
	}
	if done, _ := loud.Result(new(inflight.Slot)); done {
		t.Error("loud came first")
	}
}

// In a full queue a call displaces one of the tenant with more, or one of lower priority of a
// tenant that does not have fewer.
func TestDisplace(t *testing.T) {
	for _, c := range []struct {
		name    string
		waiting []string // tenant and priority
		next    string
		want    string // what is displaced: the index in waiting, or "next"
	}{
		{"equal", []string{"a0", "b0"}, "a0", "next"},
		{"of the tenant with more", []string{"a0", "a0"}, "b0", "1"},
		{"of higher priority", []string{"a9", "a9"}, "b0", "1"},
		{"not of the tenant with fewer", []string{"a0", "b0"}, "a9", "0"},
		{"own of lower priority", []string{"a0", "a1"}, "a1", "0"},
		{"own of the same priority", []string{"a1", "a1"}, "a1", "next"},
		{"lower priority of an equal tenant", []string{"b0", "c1"}, "b2", "0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, _ := occupied(t, len(c.waiting)) // by tenant a
			var tickets []*inflight.Ticket
			for _, text := range append(c.waiting, c.next) {
				priority, _ := strconv.Atoi(text[1:])
				tickets = append(tickets, l.Enqueue(0, &inflight.Request{Tenant: text[:1], Priority: priority}, func() {}))
			}
			for i, k := range tickets {
				done, err := k.Result(new(inflight.Slot))
				name, want := strconv.Itoa(i), inflight.ErrDisplaced
				if i == len(c.waiting) {
					name, want = "next", inflight.ErrFull
				}
				if done != (name == c.want) || done && !errors.Is(err, want) {
					t.Errorf("%s: done %t, %v", name, done, err)
				}
			}
		})
	}
}

// A call that cannot finish before its deadline is dropped at once, or when it can no longer.
func TestDeadline(t *testing.T) {
	l, slot := occupied(t, 10)
	for range 20 { // each takes 100 ms
		l.Release(100*time.Millisecond, slot, true)
		l.Try(0, &inflight.Request{}, slot)
	}
	if got := l.Typical(); got != 100*time.Millisecond {
		t.Errorf("typical is %v", got)
	}
	within := func(d time.Duration) *inflight.Ticket {
		return l.Enqueue(0, &inflight.Request{Deadline: d, HasDeadline: true}, func() {})
	}
	if done, err := within(99 * time.Millisecond).Result(slot); !done || !errors.Is(err, inflight.ErrNoTime) {
		t.Errorf("99 ms: %t, %v", done, err)
	}
	k := within(150 * time.Millisecond)
	if got := k.Until(); got != 50*time.Millisecond {
		t.Errorf("a call of 150 ms waits until %v", got)
	}
	k.Expire(50 * time.Millisecond)
	if !errors.Is(result(k), inflight.ErrNoTime) {
		t.Errorf("%v, want ErrNoTime", result(k))
	}
	k = within(150 * time.Millisecond)
	l.Release(60*time.Millisecond, slot, true) // too late for it
	if !errors.Is(result(k), inflight.ErrNoTime) {
		t.Errorf("%v, want ErrNoTime", result(k))
	}
	if s := l.Snapshot(); s.NoTime != 3 || s.Running != 0 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
}

// How long the calls of a tenant take does not matter to those of others: neither to a first call, nor to those of a
// tenant whose calls are known to be short.
func TestLongCallsOfAnotherTenant(t *testing.T) {
	l := inflight.New(inflight.Config{Limit: 4, MaxWaiting: 10, MaxWait: time.Minute})
	long, now := inflight.Request{Tenant: "long"}, time.Duration(0)
	var slots [4]inflight.Slot
	for i := range 40 { // calls of 4 s, one ends each second
		now += time.Second
		l.Release(now, &slots[i%4], true)
		if !l.Try(now, &long, &slots[i%4]) {
			t.Fatal("no slot")
		}
	}
	first := inflight.Request{Tenant: "short", Deadline: now + 2*time.Second, HasDeadline: true}
	k := l.Enqueue(now, &first, func() {})
	l.Release(now+time.Second, &slots[0], true)
	if done, err := k.Result(&slots[0]); !done || err != nil {
		t.Fatalf("the first call of another tenant: %t, %v", done, err)
	}
	for range 20 {
		l.Release(now+10*time.Millisecond, &slots[0], true)
		if !l.Try(now, &first, &slots[0]) {
			t.Fatal("no slot")
		}
	}
	for _, c := range []struct {
		tenant string
		left   time.Duration
		drops  bool
	}{
		{"short", 5 * time.Millisecond, true},
		{"short", 20 * time.Millisecond, false},
		{"long", 2 * time.Second, true},
		{"long", 5 * time.Second, false},
		{"another", time.Millisecond, false},
	} {
		k := l.Enqueue(now, &inflight.Request{Tenant: c.tenant, Deadline: now + c.left, HasDeadline: true}, func() {})
		if drops := errors.Is(result(k), inflight.ErrNoTime); drops != c.drops {
			t.Errorf("a call of %s with %v left is dropped: %t, want %t", c.tenant, c.left, drops, c.drops)
		}
	}
}

// Counters do not decrease: a call that is cancelled after it was given a slot was not admitted.
func TestCancelAfterAdmission(t *testing.T) {
	l, slot := occupied(t, 1)
	k := l.Enqueue(0, &inflight.Request{}, func() {})
	l.Release(1, slot, true)
	before := l.Snapshot()
	k.Cancel(2)
	after := l.Snapshot()
	if after.Admitted < before.Admitted || after.Admitted != 1 || after.Left != 1 || after.Running != 0 {
		t.Errorf("%+v, and before %+v", after, before)
	}
	k = l.Enqueue(3, &inflight.Request{}, func() {})
	for range 2 {
		if _, err := k.Result(slot); err != nil {
			t.Error(err)
		}
		if n := l.Snapshot().Admitted; n != 2 {
			t.Errorf("%d admitted, want 2", n)
		}
	}
}

func result(k *inflight.Ticket) error {
	_, err := k.Result(new(inflight.Slot))
	return err
}

// A flood of tenants neither grows the limiter without bound nor takes the slots of one that is active.
func TestFloodOfTenants(t *testing.T) {
	l := inflight.New(inflight.Config{Limit: 100, Hold: time.Hour})
	var own, slot inflight.Slot
	l.Try(0, &inflight.Request{Tenant: "own"}, &own)
	for i := range 100_000 {
		r := inflight.Request{Tenant: strconv.Itoa(i)}
		if !l.Try(0, &r, &slot) {
			t.Fatalf("call %d was rejected", i)
		}
		l.Release(0, &slot, true)
	}
	if s := l.Snapshot(); s.Tenants > 4097 || s.Running != 1 {
		t.Errorf("%+v", s)
	}
	for i := range 49 { // half of the limit can be borrowed
		if !l.Try(0, &inflight.Request{Tenant: "own"}, new(inflight.Slot)) {
			t.Fatalf("call %d of an active tenant was rejected", i)
		}
	}
}

// Concurrent calls never exceed the limit.
func TestConcurrent(t *testing.T) {
	const limit, goroutines, calls = 5, 16, 2000
	l := inflight.New(inflight.Config{Limit: limit})
	var running, most atomic.Int64
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			r := inflight.Request{Tenant: strconv.Itoa(g % 3)}
			for range calls {
				var s inflight.Slot
				if !l.Try(0, &r, &s) {
					continue
				}
				if n := running.Add(1); n > most.Load() {
					most.Store(n)
				}
				running.Add(-1)
				l.Release(0, &s, false)
			}
		})
	}
	wg.Wait()
	if s := l.Snapshot(); s.Running != 0 || most.Load() > limit {
		t.Errorf("%+v, at most %d in flight", s, most.Load())
	}
}

// Try and Release allocate nothing.
func TestAllocations(t *testing.T) {
	l, r, s := inflight.New(inflight.Config{Limit: 5}), &inflight.Request{Tenant: "a"}, new(inflight.Slot)
	if got := testing.AllocsPerRun(100, func() {
		l.Try(0, r, s)
		l.Release(0, s, true)
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkTry(b *testing.B) {
	for _, timed := range []bool{false, true} {
		b.Run("timed="+strconv.FormatBool(timed), func(b *testing.B) {
			l, r := inflight.New(inflight.Config{Limit: 5, Timed: timed}), inflight.Request{}
			b.ReportAllocs()
			for b.Loop() {
				var s inflight.Slot
				l.Try(0, &r, &s)
				l.Release(0, &s, true)
			}
		})
	}
}
