package ratelimitredis_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitredis"
	"github.com/hauberk-rpc/hauberk/internal/redistest"
)

// A cluster of three servers keeps quotas of one limit on all of them, and those of several limits of an
// interceptor in one slot. It is recognized from one address.
func TestCluster(t *testing.T) {
	nodes := redistest.Cluster(t)
	used := func() (n int) {
		for _, s := range nodes {
			if s.Do("DBSIZE") != "0" {
				n++
			}
		}
		return n
	}
	few, many := limitOf(ratelimit.GCRA, 2, time.Hour), limitOf(ratelimit.SlidingWindow, 1000, time.Hour)
	for _, config := range []ratelimitredis.Config{
		at(nodes[0].Addr), {Addresses: []string{nodes[1].Addr}, Cluster: true}, at(nodes[0].Addr, nodes[1].Addr, nodes[2].Addr),
	} {
		for _, s := range nodes {
			s.Do("FLUSHALL")
		}
		both, _ := open(t, config, few, many)
		for i := range 30 {
			d := takeAll(t, both, demand(fmt.Sprint(i), 2), ratelimit.Demand{Limit: 1, Key: []byte("all"), Permits: 1})
			if !d[0].OK || !d[1].OK {
				t.Errorf("%+v", d)
			}
		}
		if n := used(); n != 1 {
			t.Errorf("keys of several limits are on %d servers, want 1", n)
		}
		one, _ := open(t, config, few)
		for i := range 30 {
			if d := take(t, one, demand(fmt.Sprint(i), 2)); !d.OK {
				t.Errorf("%+v", d)
			}
			if d := take(t, one, demand(fmt.Sprint(i), 1)); d.OK {
				t.Errorf("over the limit: %+v", d)
			}
		}
		if n := used(); n != 3 {
			t.Errorf("keys of one limit are on %d servers, want 3", n)
		}
	}
}

// A cluster that has lost a server answers for the keys of the others.
func TestClusterNodeLost(t *testing.T) {
	nodes := redistest.Cluster(t)
	for _, s := range nodes {
		s.Do("CONFIG", "SET", "cluster-require-full-coverage", "no")
	}
	q, _ := open(t, at(nodes[0].Addr, nodes[1].Addr, nodes[2].Addr), limitOf(ratelimit.GCRA, 2, time.Hour))
	take(t, q, demand("first", 1))
	nodes[2].Kill()
	redistest.Eventually(t, "most keys have an answer", func() bool {
		answered := 0
		for i := range 60 {
			if _, err := try(q, fmt.Sprint(i), 200*time.Millisecond); err == nil {
				answered++
			}
		}
		return answered >= 20 && answered < 60
	})
}

// After a fail-over that Sentinels decide, the store uses the new primary.
func TestSentinel(t *testing.T) {
	primary := redistest.Start(t)
	host, port, _ := net.SplitHostPort(primary.Addr)
	replica := redistest.Start(t, redistest.Args("--replicaof", host+" "+port))
	sentinel := redistest.Sentinel(t, "quotas", primary)
	redistest.Eventually(t, "the Sentinel knows the replica", func() bool {
		return sentinel.Do("SENTINEL", "REPLICAS", "quotas") != ""
	})
	config := at(sentinel.Addr)
	config.Sentinel.MasterName = "quotas"
	q, _ := open(t, config, limitOf(ratelimit.GCRA, 2, time.Hour))
	take(t, q, demand("alice", 2))
	redistest.Eventually(t, "the replica has the quota", func() bool { return replica.Do("DBSIZE") == "1" })
	primary.Kill()
	redistest.Eventually(t, "the replica is the primary of the store", func() bool {
		d, err := try(q, "bob", time.Second)
		return err == nil && d.OK
	})
	fresh, _ := open(t, config, limitOf(ratelimit.GCRA, 2, time.Hour))
	if d := take(t, fresh, demand("alice", 1)); d.OK {
		t.Errorf("the quota is lost: %+v", d)
	}
	config.Sentinel.MasterName = "others"
	q, _ = open(t, config, limitOf(ratelimit.GCRA, 2, time.Hour))
	if _, err := try(q, "alice", patient); err == nil {
		t.Error("a primary that the Sentinel does not know")
	} else {
		t.Log(err)
	}
}
