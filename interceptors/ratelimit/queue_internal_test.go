package ratelimit

import (
	"testing"

	"github.com/hauberk-rpc/hauberk/internal/quota"
)

// Queues keep the order if messages leave, and are gone when no one waits. Their number is bounded.
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
	left := make(map[int]bool)
	for _, step := range []struct{ leaves, head int }{{2, 0}, {4, 0}, {0, 1}, {1, 3}} {
		all[step.leaves].leave()
		left[step.leaves] = true
		for i, w := range all {
			if left[i] {
				continue
			}
			if head := i == step.head; w.isHead() != head || w.asks != head {
				t.Errorf("after %d left, %d is head: %t, and asks: %t", step.leaves, i, w.isHead(), w.asks)
			}
		}
	}
	all[3].leave()
	if len(qs.all) != 0 || qs.count.Load() != 0 || qs.busy(demands) != nil {
		t.Errorf("%d queues with %d messages are left", len(qs.all), qs.count.Load())
	}
	var asking []*waiter
	for range 5 {
		w, _ := qs.join(&demands[0], true)
		asking = append(asking, w)
	}
	asking[0].admitted()
	asking[0].admitted()
	asking[0].leave() // 4 may ask
	if !asking[4].asks || asking[3].rejected(1) || !asking[1].rejected(1) {
		t.Error("4 may not ask at a time, or another than the head sleeps")
	}
	asking[2].rejected(1)
	asking[4].rejected(1)
	asking[1].leave()
	if !asking[2].asks || asking[3].asks || asking[4].asks {
		t.Error("not the head alone asks after a rejection")
	}
	for _, w := range asking[2:] {
		w.leave()
	}
	qs.count.Store(maxWaiting)
	if w, _ := qs.join(&demands[0], true); w != nil || len(qs.all) != 0 {
		t.Error("a message waits beyond the bound")
	}
}
