package main

import (
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// view contains the properties of a span that are compared.
type view struct {
	side, name, kind, parent, state string
	status                          sdktrace.Status
	attributes                      map[string]string
	events                          []string
	links                           int
}

// views returns the spans except the caller's: those of the client first, and the spans of
// a side in the order of their start. PORT replaces the server's port.
func views(spans []sdktrace.ReadOnlySpan, port string) []view {
	names := map[trace.SpanID]string{}
	slices.SortStableFunc(spans, func(a, b sdktrace.ReadOnlySpan) int { return a.StartTime().Compare(b.StartTime()) })
	for _, s := range spans {
		names[s.SpanContext().SpanID()] = s.SpanKind().String() + " " + s.Name()
	}
	var all []view
	for _, s := range spans {
		if s.Name() == "caller" {
			continue
		}
		v := view{
			side: s.SpanKind().String(), name: s.Name(), kind: s.SpanKind().String(), parent: names[s.Parent().SpanID()],
			state: s.Parent().TraceState().String(), status: s.Status(), links: len(s.Links()), attributes: map[string]string{},
		}
		if s.Parent().IsRemote() {
			v.parent += ", remote"
		}
		for _, a := range s.Attributes() {
			v.attributes[string(a.Key)] = attributeText(a, port)
		}
		for _, e := range s.Events() {
			v.events = append(v.events, e.Name)
		}
		all = append(all, v)
	}
	slices.SortStableFunc(all, func(a, b view) int { return strings.Compare(a.side, b.side) })
	return all
}

func attributeText(a attribute.KeyValue, port string) string {
	text := a.Value.String()
	if text == port {
		text = "PORT"
	}
	return a.Value.Type().String() + " " + text
}

// compare returns the differences, each with its side.
func compare(ours, theirs []view) []string {
	var found []string
	for _, side := range []string{"client", "server"} {
		of := func(all []view) []view {
			return slices.DeleteFunc(slices.Clone(all), func(v view) bool { return v.side != side })
		}
		a, b := of(ours), of(theirs)
		for ; len(a) > len(b); a = a[1:] { // a call starts before its attempts
			found = append(found, side+": a span is only ours")
		}
		for ; len(b) > len(a); b = b[1:] {
			found = append(found, side+": a span is only otelgrpc's")
		}
		for i := range a {
			for _, what := range a[i].differences(&b[i]) {
				found = append(found, side+": "+what)
			}
		}
	}
	return found
}

func (v *view) differences(w *view) []string {
	var found []string
	for what, same := range map[string]bool{
		"name": v.name == w.name, "kind": v.kind == w.kind, "parent": v.parent == w.parent,
		"tracestate": v.state == w.state, "status": v.status == w.status, "linked spans": v.links == w.links,
	} {
		if !same {
			found = append(found, what+" differs")
		}
	}
	for key, value := range v.attributes {
		if other, ok := w.attributes[key]; !ok {
			found = append(found, "attribute "+key+" is only ours")
		} else if other != value {
			found = append(found, "attribute "+key+" differs")
		}
	}
	for key := range w.attributes {
		if _, ok := v.attributes[key]; !ok {
			found = append(found, "attribute "+key+" is only otelgrpc's")
		}
	}
	for _, e := range v.events {
		if !slices.Contains(w.events, e) {
			found = append(found, "event "+e+" is only ours")
		}
	}
	for _, e := range w.events {
		if !slices.Contains(v.events, e) {
			found = append(found, "event "+e+" is only otelgrpc's")
		}
	}
	return found
}
