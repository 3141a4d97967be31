package metrics

import (
	"slices"
	"time"

	"github.com/hauberk-rpc/hauberk"
)

// Recorder receives the latencies of one series. It must be safe for concurrent use.
type Recorder interface {
	// Record is called when a call has ended, on the goroutine of its chain. exemplar
	// contains the labels of [WithExemplars], or is nil. It must not be modified.
	Record(took time.Duration, exemplar map[string]string)
}

// Identity identifies a series.
type Identity struct {
	Side            hauberk.Side
	Kind            hauberk.Kind
	Service, Method string // or Unknown, or Other
	// Labels contains the values of [Interceptor.LabelNames]. It must not be modified.
	Labels []string
}

// AddRecorder calls open once for each existing and each future series. The [Recorder] that open
// returns receives the latencies of the calls that end from then on. It is for exporters that
// store additional numbers: the bounds of m limit the number of recorders. open may return nil
// for a series that it does not record. It is never called concurrently and must not call m.
func (m *Interceptor) AddRecorder(open func(Identity) Recorder) {
	for i := range m.sides {
		m.sides[i].methods.addRecorder(open)
	}
}

func (t *table) addRecorder(open func(Identity) Recorder) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recorders = append(t.recorders, open)
	for _, c := range t.series() {
		t.record(c, open)
	}
}

// openRecorders adds the recorders of a new series. The caller holds t.mu.
func (t *table) openRecorders(c *counters) {
	for _, open := range t.recorders {
		t.record(c, open)
	}
}

// record adds a recorder to a series. The caller holds t.mu.
func (t *table) record(c *counters, open func(Identity) Recorder) {
	r := open(t.identity(c))
	if r == nil {
		return
	}
	var all []Recorder
	if before := c.recorders.Load(); before != nil {
		all = *before
	}
	all = append(slices.Clip(all), r)
	c.recorders.Store(&all)
}

func (t *table) identity(c *counters) Identity {
	return Identity{Side: t.side, Kind: c.kind, Service: c.service, Method: c.method, Labels: c.values}
}
