package limits

import (
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// Gauge reports whether the process uses so much memory that new calls must be rejected. It
// measures at most once every 10 ms, when it is asked. It is safe for concurrent use.
type Gauge struct {
	high, low uint64
	measure   func() uint64 // for tests
	began     time.Time
	next      atomic.Int64 // no measurement before; nanoseconds since began
	used      atomic.Uint64
	full      atomic.Bool
}

// period is the time between two measurements.
const period = 10 * time.Millisecond

// NewGauge returns a Gauge for a limit in bytes. It is full when nine tenths are used, until
// less than 17 twentieths are. If limit is 0 it is never full.
func NewGauge(limit int64) *Gauge {
	m := &Gauge{high: uint64(limit) / 10 * 9, low: uint64(limit) / 20 * 17, measure: InUse, began: time.Now()}
	m.used.Store(m.measure())
	return m
}

// Full reports whether new calls must be rejected.
func (m *Gauge) Full() bool {
	if m.high == 0 {
		return false
	}
	now, next := int64(time.Since(m.began)), m.next.Load()
	if now >= next && m.next.CompareAndSwap(next, now+int64(period)) {
		used := m.measure()
		m.used.Store(used)
		if used >= m.high {
			m.full.Store(true)
		} else if used < m.low {
			m.full.Store(false)
		}
	}
	return m.full.Load()
}

// InUse returns the bytes of memory that the Go runtime has and has not returned to the
// operating system. Garbage that was not collected yet is a part of it.
func InUse() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}
