package ratelimit

import "github.com/hauberk-rpc/hauberk"

// Measurements returns the numbers that [Interceptor.Keys], [Interceptor.Evicted] and, with a store,
// [Interceptor.StoreFailures] return: see [hauberk.Chain.Measurements].
func (x *Interceptor) Measurements() []hauberk.Measurement {
	all := append(make([]hauberk.Measurement, 0, 4),
		hauberk.Measurement{Name: "ratelimit_keys", Help: "Keys and peers that are kept.", Value: float64(x.Keys())},
		hauberk.Measurement{
			Name: "ratelimit_evicted_keys_total", Counter: true, Value: float64(x.Evicted()),
			Help: "Keys and peers that were evicted because there are more than MaxKeys.",
		})
	if x.shared == nil {
		return all
	}
	failures, failing := x.StoreFailures()
	return append(all,
		hauberk.Measurement{
			Name: "ratelimit_store_failures_total", Counter: true, Value: float64(failures),
			Help: "Requests that the store of shared quotas did not answer.",
		},
		hauberk.Measurement{
			Name: "ratelimit_store_failing", Value: number(failing),
			Help: "1 while calls do without the store of shared quotas, otherwise 0.",
		})
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
