package ratelimit

import (
	"testing"

	"github.com/hauberk-rpc/hauberk/internal/quota"
)

// Queues keep the order, whoever leaves, and are gone when no one waits. Their number is bounded.
func TestQueues(t *testing.T) {
	var qs queues
	l := &limit{config: Config{Limit: 1, Per: 1, Burst: 1}}
	demands := []demand{{limit: l, at: quota.OfKeys, key: []byte("a"), permits: 1}, {limit: l, at: quota.OfPeers, key: []byte("a"), permits: 1}}
	var all []*waiter
	for range 5 {
		w, _ := qs.join(&demands[0], true)
		all = append(all, w)
	}
	if qs.busy(demands[1:]) != nil || qs.busy(demands) != &demands[0] {
		t.Error("the keys of calls and of peers share a queue")
	}
	for _, step := range []struct{ leaves, head int }{{2, 0}, {4, 0}, {0, 1}, {1, 3}} {
		all[step.leaves].leave()
		for i, w := range all {
			if w.isHead() != (i == step.head || i == step.leaves && i < 2 || i < step.head && i != 2) {
				t.Errorf("after %d left, %d is head: %t", step.leaves, i, w.isHead())
			}
		}
	}
	all[3].leave()
	if len(qs.all) != 0 || qs.count.Load() != 0 || qs.busy(demands) != nil {
		t.Errorf("%d queues with %d messages are left", len(qs.all), qs.count.Load())
	}
	qs.count.Store(maxWaiting)
	if w, _ := qs.join(&demands[0], true); w != nil || len(qs.all) != 0 {
		t.Error("a message waits beyond the bound")
	}
}
