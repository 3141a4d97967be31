package coalesce

import "github.com/hauberk-rpc/hauberk"

// Measurements returns the numbers of the interceptor: see [hauberk.Chain.Measurements].
func (x *Interceptor) Measurements() []hauberk.Measurement {
	x.mu.Lock()
	running := len(x.flights)
	x.mu.Unlock()
	return []hauberk.Measurement{
		{Name: "coalesce_flights", Help: "Flights that calls can join.", Value: float64(running)},
		{
			Name: "coalesce_flights_total", Counter: true, Value: float64(x.begun.Load()),
			Help: "Calls that were made for equal calls.",
		},
		{
			Name: "coalesce_joined_total", Counter: true, Value: float64(x.joined.Load()),
			Help: "Calls that received the outcome of another.",
		},
	}
}
