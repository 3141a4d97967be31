package metrics

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk"
)

// Decision is how often an interceptor gave a verdict.
type Decision struct {
	Side hauberk.Side
	// Interceptor is the name of the interceptor, or Other.
	Interceptor string
	Verdict     hauberk.Verdict
	// Shadow says that the verdict was not enforced.
	Shadow bool
	Count  uint64
}

// Decisions returns how often each interceptor gave each verdict, ordered by side,
// interceptor, verdict, and enforced before not. It is empty unless
// [Config.Decisions] asks for it. The result is the caller's.
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

// verdict is what decisions are told apart by.
type verdict struct {
	interceptor string
	verdict     hauberk.Verdict
	shadow      bool
}

// verdicts is how many an interceptor can give.
const verdicts = 4

// countDecisions counts the decisions of a call that were not there before it
// reached the interceptor. It uses up before.
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
