package concurrency

import "github.com/hauberk-rpc/hauberk"

// Measurements returns the numbers of [Interceptor.Snapshot]: see [hauberk.Chain.Measurements].
func (x *Interceptor) Measurements() []hauberk.Measurement {
	s := x.Snapshot()
	all := []hauberk.Measurement{
		{Name: "concurrency_running", Help: "Calls in flight.", Value: float64(s.Running)},
		{Name: "concurrency_waiting", Help: "Calls that wait for a slot.", Value: float64(s.Waiting)},
		{Name: "concurrency_keys", Help: "Keys and peers that are kept.", Value: float64(s.Keys)},
		{
			Name: "concurrency_admitted_total", Counter: true, Value: float64(s.Admitted),
			Help: "Calls that got a slot, or messages with ForMessages.",
		},
		{
			Name: "concurrency_cancelled_total", Counter: true, Value: float64(s.Cancelled),
			Help: "Calls that ended while they waited.",
		},
		{
			Name: "concurrency_evicted_keys_total", Counter: true, Value: float64(s.EvictedKeys),
			Help: "Keys that were removed because there are more than MaxKeys.",
		},
	}
	for _, r := range []struct {
		reason string
		n      uint64
	}{
		{ReasonFull, s.Full},
		{ReasonWaited, s.Waited},
		{ReasonDisplaced, s.Displaced},
		{ReasonNoTime, s.NoTime},
		{ReasonLoad, s.Shed},
	} {
		all = append(all, hauberk.Measurement{
			Name: "concurrency_rejected_total", Counter: true, Value: float64(r.n),
			LabelName: "reason", LabelValue: r.reason,
			Help: "Calls, or messages with ForMessages, that got no slot.",
		})
	}
	if x.config.limits() && x.config.By.IsGlobal() {
		limit := 0
		for _, l := range x.Limits() {
			limit = l.Limit
		}
		all = append(all, hauberk.Measurement{
			Name: "concurrency_limit", Value: float64(limit), Help: "Calls that may be in flight.",
		})
	}
	if x.gate == nil {
		return all
	}
	return append(all,
		hauberk.Measurement{Name: "concurrency_load", Value: s.Load, Help: "The load as last measured."},
		hauberk.Measurement{
			Name: "concurrency_shedding", Value: number(s.Shedding),
			Help: "1 while calls are rejected because of the load, otherwise 0.",
		})
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
