package contract_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// compare returns the differences between an outcome and the golden one. It applies the rules of the
// golden file, and these rules always:
//   - Metadata is compared sorted by key; the values of a key keep their order.
//   - Details that grpcio itself made are not compared.
//   - Missing metadata and state equal empty ones.
//   - Keys that begin with "_" are private to an implementation.
func compare(golden, other map[string]any) ([]string, error) {
	r, err := rulesOf(golden)
	if err != nil {
		return nil, err
	}
	want, err := callsOf(golden, &r)
	if err != nil {
		return nil, fmt.Errorf("the golden file: %w", err)
	}
	got, err := callsOf(other, &r)
	if err != nil {
		return nil, fmt.Errorf("the outcome: %w", err)
	}
	d := &differences{}
	d.calls(want, got)
	d.snapshots(golden, other, &r)
	return d.found, nil
}

// comparableCall is a call in the form in which it is compared.
type comparableCall struct {
	details any // the original ones: rules may have removed them from call
	call    map[string]any
}

// callsOf returns the calls of an outcome, in the form in which they are compared, by their ids.
func callsOf(doc map[string]any, r *rules) (map[string]comparableCall, error) {
	calls, ok := doc["calls"].([]any)
	if !ok {
		return nil, fmt.Errorf(`it has no list of "calls"`)
	}
	out := make(map[string]comparableCall, len(calls))
	for _, one := range calls {
		c, _ := one.(map[string]any)
		id, hasID := c["id"].(string)
		client, hasClient := c["client"].(map[string]any)
		if !hasID || !hasClient {
			return nil, fmt.Errorf(`a call has no "id" or no "client": %.200s`, text(one))
		}
		c = complete(c, client, r)
		details := c["client"].(map[string]any)["details"]
		n := normal{r, r.everywhere}
		out[id] = comparableCall{details, n.object(c, "")}
	}
	return out, nil
}

// complete returns a call with all optional keys that compare needs, and without those that compare
// ignores.
func complete(c, client map[string]any, r *rules) map[string]any {
	c, client = maps.Clone(c), maps.Clone(client)
	if code, _ := client["code"].(string); slices.Contains(r.IgnoreDetailsOf, code) {
		client["details"] = nil
	}
	orEmpty(client, "initial", []any{})
	orEmpty(client, "trailing", []any{})
	delete(client, "local_exception")
	c["client"] = client
	if handler, ok := c["handler"].([]any); ok {
		c["handler"] = completeInvocations(handler)
	}
	for _, name := range []string{"client_log", "server_log", "order"} {
		if log, ok := c[name].([]any); ok && len(log) == 0 {
			delete(c, name)
		}
	}
	return c
}

func completeInvocations(handler []any) []any {
	all := slices.Clone(handler)
	for i, one := range all {
		if h, ok := one.(map[string]any); ok {
			h = maps.Clone(h)
			orEmpty(h, "metadata", []any{})
			orEmpty(h, "state", map[string]any{})
			all[i] = h
		}
	}
	return all
}

func orEmpty(m map[string]any, key string, empty any) {
	if _, ok := m[key]; !ok {
		m[key] = empty
	}
}

// normal converts a value into the form in which it is compared.
type normal struct {
	rules   *rules
	aliased bool
}

func (n normal) value(v any, path string) any {
	switch v := v.(type) {
	case map[string]any:
		return n.object(v, path)
	case []any:
		return n.list(v, path)
	case string:
		if n.aliased {
			return n.rules.rename(v)
		}
		return v
	default:
		return v
	}
}

func (n normal) object(m map[string]any, path string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		if strings.HasPrefix(k, "_") || slices.Contains(n.rules.Ignore, k) {
			continue
		}
		at := strings.Trim(path+"."+k, ".")
		inner := n
		inner.aliased = n.aliased || n.rules.aliased(at)
		out[k] = inner.value(v, at)
	}
	return out
}

func (n normal) list(list []any, path string) []any {
	switch path[strings.LastIndex(path, ".")+1:] {
	case "metadata", "initial", "trailing":
		list = byKey(list)
	}
	out := make([]any, 0, len(list))
	for _, v := range list {
		if !n.dropped(v) {
			out = append(out, n.value(v, path))
		}
	}
	return out
}

func (n normal) dropped(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		event, ok := v["event"].(string)
		return ok && slices.Contains(n.rules.DropRecords, event)
	case string:
		return slices.ContainsFunc(n.rules.IgnoreLogPrefix, func(p string) bool { return strings.HasPrefix(v, p) })
	default:
		return false
	}
}

// byKey sorts the pairs of metadata by key. The values of a key keep their order.
func byKey(list []any) []any {
	key := func(v any) string {
		if kv, ok := v.([]any); ok && len(kv) > 0 {
			k, _ := kv[0].(string)
			return k
		}
		return ""
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b any) int { return strings.Compare(key(a), key(b)) })
	return list
}
