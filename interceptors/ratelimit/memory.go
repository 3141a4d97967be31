package ratelimit

import (
	"github.com/hauberk-rpc/hauberk/internal/quota"
)

// newMemory returns the quotas of a limit, whose configuration is valid, in this process.
func newMemory(c Config, nodes, maxKeys int) (*quota.Memory, error) {
	limit := quota.Limit{
		Permits: c.Limit, Per: c.Per, Burst: c.Burst, Algorithm: quota.Algorithm(c.Algorithm), Debt: c.Cost.Charged,
	}
	return quota.New(limit.Part(nodes), maxKeys)
}

// Keys returns how many keys and peers are kept, including those whose quota is whole and
// that were not removed yet. Safe for concurrent use.
func (x *Interceptor) Keys() int {
	sum := 0
	for i := range x.limits {
		keys, _ := x.limits[i].memory.Size()
		sum += keys
	}
	return sum
}

// Evicted returns how many keys and peers were evicted. If it grows, MaxKeys is too small for
// those in use, or a caller invents keys. Safe for concurrent use.
func (x *Interceptor) Evicted() uint64 {
	sum := uint64(0)
	for i := range x.limits {
		_, evicted := x.limits[i].memory.Size()
		sum += evicted
	}
	return sum
}
