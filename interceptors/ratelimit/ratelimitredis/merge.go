package ratelimitredis

import (
	"bytes"
	"math"
	"slices"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// merge returns demands of which no two are on the same quota, and for each given demand the index in them:
// a call takes the permits of equal demands together, and each would wait for the request of the other. at is
// nil if the result is demands.
func merge(demands []ratelimit.Demand) (merged []ratelimit.Demand, at []int) {
	if !haveEqual(demands) {
		return demands, nil
	}
	at = make([]int, len(demands))
	for i := range demands {
		d := &demands[i]
		at[i] = slices.IndexFunc(merged, func(m ratelimit.Demand) bool { return sameQuota(&m, d) })
		if at[i] < 0 {
			at[i] = len(merged)
			merged = append(merged, *d)
			continue
		}
		m := &merged[at[i]]
		m.Permits += min(d.Permits, math.MaxInt-m.Permits)
	}
	return merged, at
}

func haveEqual(demands []ratelimit.Demand) bool {
	for i := range demands {
		for j := range demands[:i] {
			if sameQuota(&demands[i], &demands[j]) {
				return true
			}
		}
	}
	return false
}

func sameQuota(a, b *ratelimit.Demand) bool {
	return a.Limit == b.Limit && a.Peer == b.Peer && bytes.Equal(a.Key, b.Key)
}

// split writes the decisions on demands that were merged. If the permits of a quota are not enough for all
// demands on it, the first ones that they are enough for are not those that are rejected, except the last.
func (t *taking) split(demands []ratelimit.Demand, at []int, decisions []ratelimit.Decision) {
	left, last := make([]int, len(t.parts)), make([]int, len(t.parts))
	for i := range t.parts {
		left[i] = t.parts[i].decision.Remaining
	}
	for i, j := range at {
		last[j] = i
	}
	rejected := make([]bool, len(t.parts))
	for i, j := range at {
		d := decisionOf(t.parts[j].decision)
		if n := demands[i].Permits; !d.OK && n <= left[j] && (i != last[j] || rejected[j]) {
			d.OK, d.RetryAfter = true, 0
			left[j] -= n
		}
		rejected[j] = rejected[j] || !d.OK
		decisions[i] = d
	}
}
