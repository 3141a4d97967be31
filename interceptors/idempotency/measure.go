package idempotency

import "github.com/hauberk-rpc/hauberk"

// Measurements returns the numbers of the interceptor: see [hauberk.Chain.Measurements].
func (x *Interceptor) Measurements() []hauberk.Measurement {
	counter := func(name, help string, n uint64) hauberk.Measurement {
		return hauberk.Measurement{Name: "idempotency_" + name + "_total", Help: help, Counter: true, Value: float64(n)}
	}
	all := []hauberk.Measurement{
		{
			Name:  "idempotency_unsettled",
			Help:  "Calls that have ended and whose outcome or key is still given to the store.",
			Value: float64(x.outcomesLeft.Load() + x.keysLeft.Load()),
		},
		counter("executed", "Calls that were executed as the first of their key.", x.counts.executed.Load()),
		counter("repeated", "Calls that received the outcome of the first.", x.counts.repeated.Load()),
		counter("waited", "Calls that waited while the first one ran.", x.counts.waited.Load()),
		counter("released", "Calls that left their key free.", x.counts.released.Load()),
		counter("store_failures", "Calls for which the store failed.", x.counts.failed.Load()),
		counter("lost_outcomes", "Outcomes that the store did not take.", x.counts.lost.Load()),
	}
	if m, ok := x.store.(*Memory); ok && m.Validate() == nil {
		keys, bytes := m.Len()
		all = append(all,
			hauberk.Measurement{Name: "idempotency_memory_keys", Help: "Keys in memory.", Value: float64(keys)},
			hauberk.Measurement{
				Name: "idempotency_memory_bytes", Help: "Size of keys and outcomes in memory.", Value: float64(bytes),
			})
	}
	return all
}
