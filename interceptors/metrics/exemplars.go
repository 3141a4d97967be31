package metrics

import (
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// maxExemplar is the maximum number of characters of an exemplar's names and values together, as
// in OpenMetrics.
const maxExemplar = 128

// Exemplar identifies a call of a series, for example by its trace ID. It must not be modified.
type Exemplar struct {
	// Labels are the labels that the function of [WithExemplars] returned.
	Labels map[string]string
	// Took is the call's latency. At is the time when it ended.
	Took time.Duration
	At   time.Time
}

// Exemplars contains the exemplars of the latest calls of a series. An entry is nil if there is
// none.
type Exemplars struct {
	// Handled contains the latest call with each codes.Code.
	Handled [numCodes]*Exemplar
	// Buckets contains the latest call in each latency bucket: see [Series.Buckets].
	Buckets []*Exemplar
}

// exemplars stores the values of Exemplars.
type exemplars struct {
	handled [numCodes]atomic.Pointer[Exemplar]
	buckets []atomic.Pointer[Exemplar]
}

// keep stores the exemplar of the latest call and returns its labels. It returns nil if the labels
// are not valid.
func (e *exemplars) keep(labels map[string]string, of shown, now func() time.Time) map[string]string {
	if !isExemplar(labels) {
		return nil
	}
	latest := &Exemplar{Labels: labels, Took: of.took, At: now()}
	e.handled[of.code].Store(latest)
	e.buckets[of.bucket].Store(latest)
	return labels
}

func isExemplar(labels map[string]string) bool {
	length := 0
	for name, value := range labels {
		if !isLabelName(name) || strings.HasPrefix(name, "__") || !utf8.ValidString(value) {
			return false
		}
		length += utf8.RuneCountInString(name) + utf8.RuneCountInString(value)
	}
	return len(labels) > 0 && length <= maxExemplar
}

func (e *exemplars) load() *Exemplars {
	if e == nil {
		return nil
	}
	all := &Exemplars{Buckets: make([]*Exemplar, len(e.buckets))}
	for code := range e.handled {
		all.Handled[code] = e.handled[code].Load()
	}
	for i := range e.buckets {
		all.Buckets[i] = e.buckets[i].Load()
	}
	return all
}
