package metrics

import (
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// maxExemplar bounds the characters of an exemplar's names and values together, as
// OpenMetrics does.
const maxExemplar = 128

// Exemplar is a call to look up. It is not to be changed.
type Exemplar struct {
	// Labels are those that [WithExemplars] was told.
	Labels map[string]string
	// Took is the call's latency, and At when it ended.
	Took time.Duration
	At   time.Time
}

// Exemplars are the latest calls of a series; nil where there is none.
type Exemplars struct {
	// Handled has those that ended with each codes.Code.
	Handled [numCodes]*Exemplar
	// Buckets has those in each bucket of latency: see [Series.Buckets].
	Buckets []*Exemplar
}

// exemplars is Exemplars as they are kept.
type exemplars struct {
	handled [numCodes]atomic.Pointer[Exemplar]
	buckets []atomic.Pointer[Exemplar]
}

// keep keeps a call as the latest, and returns its labels; nil if it has none to
// show.
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
