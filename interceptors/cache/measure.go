package cache

import "github.com/hauberk-rpc/hauberk"

// Measurements returns the numbers of the interceptor: see [hauberk.Chain.Measurements].
func (x *Interceptor) Measurements() []hauberk.Measurement {
	stats := x.store.Stats()
	counter := func(name, help string, n uint64) hauberk.Measurement {
		return hauberk.Measurement{Name: name, Help: help, Counter: true, Value: float64(n)}
	}
	return []hauberk.Measurement{
		{Name: "cache_entries", Help: "Answers that are kept.", Value: float64(stats.Entries)},
		{Name: "cache_bytes", Help: "Bytes of the answers that are kept.", Value: float64(stats.Bytes)},
		counter("cache_evicted_total", "Answers that were removed to make room.", stats.Evicted),
		counter("cache_hits_total", "Calls that were answered with a fresh answer.", x.counts.hits.Load()),
		counter("cache_stale_total", "Calls that were answered with a stale answer.", x.counts.stale.Load()),
		counter("cache_misses_total", "Calls of which there was no answer.", x.counts.misses.Load()),
		counter("cache_bypassed_total", "Calls that can have no answer.", x.counts.bypassed.Load()),
		counter("cache_refreshed_total", "Stale answers that were replaced.", x.counts.refreshed.Load()),
		counter("cache_failed_refreshes_total", "Refreshes that failed.", x.counts.failed.Load()),
	}
}
