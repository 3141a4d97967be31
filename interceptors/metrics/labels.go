package metrics

import (
	"context"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk"
)

// maxLabelValue bounds the length of the value of a label, in bytes.
const maxLabelValue = 128

// LabelNames returns the names of the labels that [WithLabel] added, in their
// order. The slice is the caller's.
func (m *Interceptor) LabelNames() []string { return slices.Clone(m.labelNames) }

// isLabelName reports whether a name can stand for a label in Prometheus.
func isLabelName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9' || i == 0) {
			return false
		}
	}
	return name != ""
}

func isTaken(name string) bool {
	return strings.HasPrefix(name, "__") || strings.HasPrefix(name, "grpc_") || name == "le"
}

// separator stands between the values in the key of a set of labels. It is in no
// UTF-8.
const separator = '\xff'

// labelled returns the counters of a call of a method that has labels.
func (t *table) labelled(ctx context.Context, of *method, call *hauberk.Call) *counters {
	var room [2 * maxLabelValue]byte
	key := room[:0]
	for i, value := range t.metrics.labelValues {
		if i > 0 {
			key = append(key, separator)
		}
		v := value(ctx, call)
		if !presentable(v, maxLabelValue) {
			v = Other
		}
		key = append(key, v...)
	}
	of.labels.RLock()
	c := of.sets[string(key)]
	of.labels.RUnlock()
	if c == nil {
		c = t.newSet(of, string(key))
	}
	return c
}

// newSet returns the counters of a method's calls with the labels of a key, or of
// those with Other labels if there are too many.
func (t *table) newSet(of *method, key string) *counters {
	t.mu.Lock()
	defer t.mu.Unlock()
	values := strings.Split(key, string([]byte{separator}))
	if !t.admits(of, key) {
		values = slices.Repeat([]string{Other}, len(values))
		key = strings.Join(values, string([]byte{separator}))
	}
	return t.set(of, key, values)
}

// admits reports whether the labels of a key are told apart, in a method. The lock
// is held.
func (t *table) admits(of *method, key string) bool {
	if of.sets[key] == nil && t.labelSeries >= t.metrics.config.MaxLabelSeries {
		return false
	}
	if _, ok := t.sets[key]; !ok && len(t.sets) >= t.metrics.config.MaxLabelSets {
		return false
	}
	t.sets[key] = struct{}{}
	return true
}

// set returns the counters of a method with a set of labels, new ones if there are
// none. The lock is held.
func (t *table) set(of *method, key string, values []string) *counters {
	of.labels.Lock()
	defer of.labels.Unlock()
	if c := of.sets[key]; c != nil {
		return c
	}
	c := &counters{values: values}
	t.prepare(c, of.label, &of.latency)
	t.openRecorders(c)
	if of.sets == nil {
		of.sets = make(map[string]*counters)
	}
	of.sets[key] = c
	t.labelSeries++
	return c
}
