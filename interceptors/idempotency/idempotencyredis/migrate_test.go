package idempotencyredis_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency/idempotencyredis"
	"github.com/hauberk-rpc/hauberk/internal/redistest"
)

// TestSlotMigration: while slots of a cluster move to another node, which answers with ASK and MOVED, keys with an
// outcome keep it, keys that run are not owned twice, and no request fails.
func TestSlotMigration(t *testing.T) {
	const keys, rounds = 40, 3
	nodes := redistest.Cluster(t)
	config := idempotencyredis.Config{Name: "migrate", Addresses: []string{nodes[0].Addr}, Cluster: true}
	stores := []*idempotencyredis.Store{connect(t, config), connect(t, config)}
	of := idempotency.Fingerprint{1}
	key := func(group byte, i int) idempotency.Key { return idempotency.Key{group, byte(i), byte(i >> 8)} }
	check := func(what string, i int, want idempotency.State, got idempotency.Record, err error) {
		if err != nil || got.State != want || want == idempotency.Finished && string(got.Outcome) != fmt.Sprint(i) {
			t.Errorf("%s key %d: %v %q, %v; want %v", what, i, got.State, got.Outcome, err, want)
		}
	}
	for i := range keys {
		for _, group := range []byte{'f', 'r'} {
			r, err := stores[0].Begin(t.Context(), key(group, i), "first", of, time.Hour)
			check("begin", i, idempotency.Owned, r, err)
		}
		if held, err := stores[0].Finish(t.Context(), key('f', i), "first", of, fmt.Append(nil, i), time.Hour); !held || err != nil {
			t.Fatal(held, err)
		}
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	var owned atomic.Int64
	var begun [2]int64
	for n, store := range stores {
		wg.Go(func() {
			for !stop.Load() {
				for i := range keys {
					r, err := store.Begin(t.Context(), key('f', i), fmt.Sprint("other", n), of, time.Hour)
					check("finished", i, idempotency.Finished, r, err)
					r, err = store.Begin(t.Context(), key('r', i), fmt.Sprint("other", n), of, time.Hour)
					check("running", i, idempotency.Running, r, err)
					if held, err := store.Renew(t.Context(), key('r', i), "first", time.Hour); !held || err != nil {
						t.Errorf("renew: %t, %v", held, err)
					}
				}
			}
		})
	}
	for n, store := range stores { // both begin the same new keys
		wg.Go(func() {
			for i := 0; !stop.Load() && i < 1<<16; i++ {
				r, err := store.Begin(t.Context(), key('n', i), fmt.Sprint("node", n), of, time.Hour)
				if err != nil {
					t.Errorf("new key %d: %v", i, err)
				}
				if r.State == idempotency.Owned {
					owned.Add(1)
				}
				begun[n]++
			}
		})
	}
	id := []string{nodes[0].Do("CLUSTER", "MYID"), nodes[1].Do("CLUSTER", "MYID")}
	for round := range rounds {
		from, to := round%2, 1-round%2
		host, port, _ := net.SplitHostPort(nodes[to].Addr)
		slots := map[string]bool{}
		for name := range strings.FieldsSeq(nodes[from].Do("KEYS", "hauberk:idempotency:*")) {
			slots[nodes[from].Do("CLUSTER", "KEYSLOT", name)] = true
			if len(slots) == 30 {
				break
			}
		}
		if len(slots) < 10 {
			t.Fatalf("%d slots", len(slots))
		}
		for slot := range slots {
			nodes[to].Do("CLUSTER", "SETSLOT", slot, "IMPORTING", id[from])
			nodes[from].Do("CLUSTER", "SETSLOT", slot, "MIGRATING", id[to])
			for {
				names := strings.Fields(nodes[from].Do("CLUSTER", "GETKEYSINSLOT", slot, "1"))
				if len(names) == 0 {
					break
				}
				nodes[from].Do("MIGRATE", host, port, names[0], "0", "5000")
			}
			for _, at := range []int{to, from} {
				nodes[at].Do("CLUSTER", "SETSLOT", slot, "NODE", id[to])
			}
		}
	}
	stop.Store(true)
	wg.Wait()
	if want := max(begun[0], begun[1]); owned.Load() != want {
		t.Errorf("%d new keys have %d owners; want one for each", want, owned.Load())
	}
}
