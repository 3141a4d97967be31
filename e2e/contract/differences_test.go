package contract_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// differences are the differences that compare has found.
type differences struct{ found []string }

func (d *differences) addf(format string, args ...any) {
	d.found = append(d.found, fmt.Sprintf(format, args...))
}

func (d *differences) calls(want, got map[string]comparableCall) {
	for _, id := range keys(want, got) {
		w, inGolden := want[id]
		g, inOther := got[id]
		switch {
		case !inOther:
			d.addf("call %s: missing", id)
		case !inGolden:
			d.addf("call %s: not in the golden file", id)
		default:
			if made, _ := w.details.(string); w.details == nil || byLibrary(made) {
				delete(w.call["client"].(map[string]any), "details")
				delete(g.call["client"].(map[string]any), "details")
			}
			d.values(w.call, g.call, id)
		}
	}
}

func (d *differences) snapshots(golden, other map[string]any, r *rules) {
	want, ok := golden["snapshots"]
	if !ok {
		return
	}
	got, ok := other["snapshots"]
	if !ok {
		got = map[string]any{}
	}
	n := normal{r, true}
	d.values(n.value(want, ""), n.value(got, ""), "snapshots")
}

func (d *differences) values(want, got any, path string) {
	w, bothObjects := want.(map[string]any)
	g, ok := got.(map[string]any)
	if !bothObjects || !ok {
		if !reflect.DeepEqual(want, got) {
			d.addf("%s: golden %s, got %s", path, text(want), text(got))
		}
		return
	}
	for _, k := range keys(w, g) {
		at := path + "." + k
		wv, inGolden := w[k]
		gv, inOther := g[k]
		switch {
		case !inOther:
			d.addf("%s: missing; golden %s", at, text(wv))
		case !inGolden:
			d.addf("%s: not in the golden file: %s", at, text(gv))
		default:
			d.values(wv, gv, at)
		}
	}
}

// keys returns the keys of two maps, sorted.
func keys[V any](a, b map[string]V) []string {
	all := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(all)
	return slices.Compact(all)
}

// text returns a value as a short text.
func text(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	const most = 600
	if len(raw) > most {
		return string(raw[:most]) + "…"
	}
	return string(raw)
}
