package hauberk

import (
	"iter"
	"reflect"
	"slices"
	"strconv"
)

// Measurement is a number about an interceptor at one moment, such as its calls in flight.
type Measurement struct {
	// Name is the name in lower snake case, after that of the package: "concurrency_running". The
	// names of counters end in "_total", as Prometheus has it.
	Name string
	// Help says what the number is, in one sentence.
	Help string
	// Counter reports whether the number only grows. Others are gauges.
	Counter bool
	// LabelName and LabelValue distinguish measurements of the same name, such as "reason" and
	// "RATE_LIMITED". They are empty if there is one. The number of values is bounded, also if callers
	// choose them.
	LabelName, LabelValue string
	// Value is the number.
	Value float64
}

// Measured is an interceptor that measures itself.
type Measured interface {
	Interceptor

	// Measurements returns the numbers of the interceptor, with the same names each time. It is safe
	// for concurrent use.
	Measurements() []Measurement
}

// Measurements returns the measurements of the interceptors of the chain, each with the name of its
// interceptor in the chain: "concurrency(method)". Of two with one name the second is
// "concurrency(method)#2". An interceptor that the chain has twice is measured once. The calls that
// run on the servers of [Chain.NewServer] come last, by method, as server_running of "server". Collectors of
// packages metricsprom and metricsotel report them. Safe for concurrent use.
func (c *Chain) Measurements() iter.Seq2[string, Measurement] {
	c.check("Measurements")
	return func(yield func(interceptor string, m Measurement) bool) {
		names := make(map[string]int)
		for i, l := range c.entries {
			if l.measured == nil || slices.ContainsFunc(c.entries[:i], l.sameMeasured) {
				continue
			}
			name := l.title()
			names[name]++
			if n := names[name]; n > 1 {
				name += "#" + strconv.Itoa(n)
			}
			if !yieldAll(name, l.measured.Measurements(), yield) {
				return
			}
		}
		yieldAll("server", c.measureServers(), yield)
	}
}

// yieldAll yields measurements, and reports whether more are wanted.
func yieldAll(name string, all []Measurement, yield func(interceptor string, m Measurement) bool) bool {
	for _, m := range all {
		if !yield(name, m) {
			return false
		}
	}
	return true
}

// sameMeasured reports whether two entries are of the same interceptor, which measures itself.
func (l *entry) sameMeasured(other *entry) bool {
	return reflect.ValueOf(l.measured).Comparable() && l.measured == other.measured
}

// measuredOf returns an interceptor, or the one in a Shadow, if it measures itself, or else nil.
func measuredOf(x Interceptor) Measured {
	if s, ok := x.(*Shadowed); ok {
		x = s.inner
	}
	measured, _ := x.(Measured)
	return measured
}
