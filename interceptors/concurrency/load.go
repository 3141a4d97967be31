package concurrency

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// The defaults of [Load].
const (
	DefaultHigh      = 0.9
	DefaultLow       = 0.8
	DefaultLoadEvery = 100 * time.Millisecond
)

// Load holds the settings of admission by load. The zero value measures memory, and has the
// defaults.
type Load struct {
	// High is the load from which on calls are rejected, until it is below Low. The defaults
	// are 0.9 and 0.8. If one is set, both must be.
	High, Low float64
	// Every is how often the load is measured, at most once for each call. The default is
	// DefaultLoadEvery.
	Every time.Duration
	// MemoryLimit is the memory in bytes that is a load of 1. The default is the limit of the
	// Go runtime (GOMEMLIMIT), which must be set then. It has no effect with WithProbe.
	MemoryLimit uint64
}

func (l Load) withDefaults() Load {
	if l.High == 0 && l.Low == 0 {
		l.High, l.Low = DefaultHigh, DefaultLow
	}
	l.Every = cmp.Or(l.Every, DefaultLoadEvery)
	return l
}

func (l Load) check(fail func(format string, args ...any)) {
	if !(l.High > 0) || math.IsInf(l.High, 0) {
		fail("Load.High is %v; want more than 0", l.High)
	}
	if !(l.Low > 0 && l.Low <= l.High) {
		fail("Load.Low is %v; want more than 0, and at most High, %v", l.Low, l.High)
	}
	if l.Every < 0 {
		fail("Load.Every is %v; want more than 0, or 0 for %v", l.Every, DefaultLoadEvery)
	}
}

// gate is the state of admission by load.
type gate struct {
	Load

	subject  subject
	probe    func() float64
	now      func() time.Duration
	next     atomic.Int64 // when the load is measured again
	busy     atomic.Bool  // a goroutine measures it
	shedding atomic.Bool
	load     atomic.Uint64 // of the last measurement, as bits of a float64
	rejected atomic.Uint64
}

// newGate returns a gate. It measures the load with the first call.
func newGate(l Load, probe func() float64, now func() time.Duration) (*gate, error) {
	if probe == nil {
		var err error
		if probe, err = memory(l.MemoryLimit); err != nil {
			return nil, err
		}
	}
	g := &gate{Load: l, probe: probe, now: now}
	g.subject = subject{rule: fmt.Sprintf("load from %v until below %v", l.High, l.Low), by: "load"}
	g.next.Store(math.MinInt64)
	return g, nil
}

// closed reports whether calls are rejected.
func (g *gate) closed() bool {
	if now := g.now(); g.due(now) && g.busy.CompareAndSwap(false, true) {
		g.measure(now)
	}
	return g.shedding.Load()
}

// due reports whether it is time to measure the load: also if the clock was set back.
func (g *gate) due(now time.Duration) bool {
	next := time.Duration(g.next.Load())
	return now >= next || now < next-g.Every
}

// measure measures the load. A load that is no number changes nothing. If the probe panics, the
// next call measures again.
func (g *gate) measure(now time.Duration) {
	defer g.busy.Store(false)
	load := g.probe()
	g.next.Store(int64(now + g.Every))
	g.load.Store(math.Float64bits(load))
	switch {
	case load >= g.High:
		g.shedding.Store(true)
	case load < g.Low:
		g.shedding.Store(false)
	}
}

// memory returns a probe for the memory of the process, as a share of a limit: what the Go runtime
// has mapped and not returned, which is what GOMEMLIMIT bounds.
func memory(limit uint64) (probe func() float64, err error) {
	if limit == 0 {
		runtimeLimit := debug.SetMemoryLimit(-1) // only reads it
		if runtimeLimit == math.MaxInt64 {
			return nil, errors.New("Load.MemoryLimit is 0, and GOMEMLIMIT is not set; want one of them")
		}
		limit = uint64(max(runtimeLimit, 1))
	}
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
	}
	return func() float64 {
		metrics.Read(samples)
		return float64(samples[0].Value.Uint64()-samples[1].Value.Uint64()) / float64(limit)
	}, nil
}
