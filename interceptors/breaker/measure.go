package breaker

import "github.com/hauberk-rpc/hauberk"

// Measurements returns how many circuits are in each state: see [hauberk.Chain.Measurements].
func (b *Interceptor) Measurements() []hauberk.Measurement {
	counts := make(map[State]int)
	for _, s := range b.States() {
		counts[s]++
	}
	states := []State{Closed, Open, HalfOpen}
	all := make([]hauberk.Measurement, 0, len(states))
	for _, s := range states {
		all = append(all, hauberk.Measurement{
			Name: "breaker_circuits", Help: "Circuits by their state.",
			LabelName: "state", LabelValue: s.String(), Value: float64(counts[s]),
		})
	}
	return all
}
