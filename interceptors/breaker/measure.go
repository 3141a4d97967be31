package breaker

import "github.com/hauberk-rpc/hauberk"

// Measurements returns how many circuits are in each state and mode, how often they have changed, and
// what became of rejected calls and changes: see [hauberk.Chain.Measurements].
func (b *Interceptor) Measurements() []hauberk.Measurement {
	states, modes := make(map[State]int), make(map[Mode]int)
	for _, c := range b.all() {
		s := c.Snapshot()
		states[s.State]++
		modes[s.Mode]++
	}
	var all []hauberk.Measurement
	for _, s := range []State{Closed, Open, HalfOpen} {
		all = append(all, hauberk.Measurement{
			Name: "breaker_circuits", Help: "Circuits by their state.",
			LabelName: "state", LabelValue: s.String(), Value: float64(states[s]),
		})
	}
	for _, m := range []Mode{ForcedOpen, ForcedClosed} {
		all = append(all, hauberk.Measurement{
			Name: "breaker_forced_circuits", Help: "Circuits whose state an operator has forced.",
			LabelName: "mode", LabelValue: m.String(), Value: float64(modes[m]),
		})
	}
	for _, s := range []State{Closed, Open, HalfOpen} {
		all = append(all, hauberk.Measurement{
			Name: "breaker_changes_total", Counter: true, Value: float64(b.changes[s].Load()),
			LabelName: "to", LabelValue: s.String(), Help: "Changes of circuits by their new state.",
		})
	}
	return append(all,
		hauberk.Measurement{
			Name: "breaker_fallbacks_total", Counter: true, Value: float64(b.fallbacks.Load()),
			Help: "Calls that the fallback answered.",
		},
		hauberk.Measurement{
			Name: "breaker_dropped_changes_total", Counter: true, Value: float64(b.news.Dropped.Load()),
			Help: "Changes that no listener received, because too many waited.",
		},
		hauberk.Measurement{
			Name: "breaker_listener_panics_total", Counter: true, Value: float64(b.news.Panics.Load()),
			Help: "Changes at which a listener panicked.",
		})
}
