package metrics

import (
	"context"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk"
)

// maxLabelValue bounds the length of the value of a label, in bytes.
const maxLabelValue = 128

// LabelNames returns the names of the labels that [WithLabel] added, in their order. The caller
// may modify the slice.
func (m *Interceptor) LabelNames() []string { return slices.Clone(m.labelNames) }

// isLabelName reports whether Prometheus accepts a name as the name of a label.
func isLabelName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9' || i == 0) {
			return false
		}
	}
	return name != ""
}

// isReserved reports whether the names of other labels include name.
func isReserved(name string) bool {
	return strings.HasPrefix(name, "__") || strings.HasPrefix(name, "grpc_") || name == "le"
}

// separator separates the values in the key of a set of labels. It does not occur in UTF-8.
const separator = '\xff'

// labelled returns the counters for the label values of a call.
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

// newSet returns the counters for the label values in key, or those for the values Other if a
// bound is reached.
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

// admits reports whether the bounds permit counters for key in a method. The caller holds t.mu.
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

// set returns the counters of a method for a set of labels. It creates them if necessary. The
// caller holds t.mu.
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
