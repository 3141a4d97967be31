package lease_test

import (
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/lease"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// A store whose answers take longer than a lease lives neither admits more than the limit nor makes a node
// wait for a reservation that has ended.
func TestSlowStore(t *testing.T) {
	c := lease.Config{Permits: 1000, Burst: 100, Per: time.Second}
	s := newSim(c, 4, 12*time.Millisecond, testseed.Rand(t, 0))
	end := start + 3*time.Second
	for _, x := range s.nodes {
		s.demand(x, 4.4*float64(c.Permits)/4, 1, end)
	}
	s.run(end)
	if total, over := s.between(start, end), s.excess(c); over > 11 || total < 2500 {
		t.Errorf("%d permits in three seconds, %v above the limit", total, over)
	}
}
