package metrics

import (
	"slices"
	"time"

	"github.com/hauberk-rpc/hauberk"
)

// Recorder is told the latencies of one series. It must be safe for concurrent
// use.
type Recorder interface {
	// Record is told of a call that has ended, on the goroutine that ran it. exemplar
	// has the labels of [WithExemplars], or is nil; it is not to be changed.
	Record(took time.Duration, exemplar map[string]string)
}

// Identity is what a series is told apart by.
type Identity struct {
	Side            hauberk.Side
	Kind            hauberk.Kind
	Service, Method string // or Unknown, or Other
	// Labels has the values of [Interceptor.LabelNames]; it is not to be changed.
	Labels []string
}

// AddRecorder has open called once for each series, those that there are and those
// to come, and what it returns told of the calls that end from then on. It is for
// exporters that keep numbers of their own, which Metrics bounds for them. open is
// called by one goroutine at a time and must not call m; it may return nil, for a
// series that is not recorded.
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

// openRecorders gives a new series its recorders. The lock is held.
func (t *table) openRecorders(c *counters) {
	for _, open := range t.recorders {
		t.record(c, open)
	}
}

// record gives a series a recorder. The lock is held.
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
