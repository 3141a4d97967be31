package metrics

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk"
)

// Decision is the number of equal decisions of an interceptor.
type Decision struct {
	Side hauberk.Side
	// Interceptor is the name of the interceptor, or Other.
	Interceptor string
	Verdict     hauberk.Verdict
	// Shadow reports whether the decisions were not enforced.
	Shadow bool
	Count  uint64
}

// Decisions returns the numbers of decisions, sorted by side, interceptor and verdict, with
// enforced decisions before others. It is empty without [Config.Decisions]. The caller may modify
// the result.
func (m *Interceptor) Decisions() []Decision {
	var all []Decision
	for i := range m.sides {
		m.sides[i].decisions.each(func(v verdict, n uint64) {
			all = append(all, Decision{hauberk.Side(i), v.interceptor, v.verdict, v.shadow, n})
		})
	}
	slices.SortFunc(all, func(a, b Decision) int {
		return cmp.Or(cmp.Compare(a.Side, b.Side), strings.Compare(a.Interceptor, b.Interceptor),
			cmp.Compare(a.Verdict, b.Verdict), compareBool(a.Shadow, b.Shadow))
	})
	return all
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// verdict is the key of equal decisions.
type verdict struct {
	interceptor string
	verdict     hauberk.Verdict
	shadow      bool
}

// verdicts is the number of verdict keys of one interceptor.
const verdicts = 4

// countDecisions counts the decisions in after that are not in before, the decisions from before
// the call reached the interceptor. It modifies before.
func (s *side) countDecisions(before, after []hauberk.Decision) {
	for _, d := range after {
		if i := slices.Index(before, d); i >= 0 {
			before = slices.Delete(before, i, i+1)
			continue
		}
		name := orUnknown(d.Interceptor)
		if !presentable(name, maxReason) {
			name = Other
		}
		s.decisions.add(verdict{name, d.Verdict, d.Shadow}, verdict{Other, d.Verdict, d.Shadow})
	}
}
