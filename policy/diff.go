package policy

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk"
)

// Change is a difference between two policies for callers of a method.
type Change struct {
	// Method is the method, "/shop.v1.Cart/Get", or "" for all methods.
	Method string
	// Side is the chain.
	Side hauberk.Side
	// What says what changes: "authn (line 12) does not run any more".
	What string
	// MayLoosen is set if calls that were rejected may now be admitted. A change of a setting may always.
	MayLoosen bool
}

// Diff returns what changes for the calls of the methods of services from an old policy to a new one. Changes that
// all methods have are there once, without a method. It compares public, the keys outside of entries, such as
// trusted_proxies and those of gateway, and the entries: those with the same interceptor and id, in order. It does not
// compare the content of files that the policies name. Without services it compares what runs for methods that no
// pattern names.
func Diff(old, next *Policy, services ...protoreflect.ServiceDescriptor) []Change {
	methods := methodsOf(services)
	if len(methods) == 0 {
		methods = []string{"any.v1.Other/Method"} // a method that no pattern names
	}
	slices.Sort(methods)
	keys := keyChanges(old.settings, next.settings)
	var all []Change
	for _, method := range methods {
		a, err := old.Explain(method)
		if err != nil {
			continue
		}
		b, err := next.Explain(method)
		if err != nil {
			continue
		}
		all = append(all, publicChange(a, b)...)
		for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
			all = append(all, chainChanges(a, b, side)...)
		}
	}
	return append(keys, summarized(all, len(methods))...)
}

// keyChanges compares the keys outside of entries.
func keyChanges(was, is []Setting) (all []Change) {
	keys := make(map[string]bool) // in the order of the files
	var order []string
	for _, s := range append(slices.Clone(is), was...) {
		switch key, _, _ := strings.Cut(s.Key, "."); key {
		case "version", "require_end", "public", "server", "client":
		default:
			if !keys[s.Key] {
				keys[s.Key] = true
				order = append(order, s.Key)
			}
		}
	}
	for _, key := range order {
		other := func(s Setting) bool { return s.Key != key }
		diff := settingsDiff(slices.DeleteFunc(slices.Clone(was), other), slices.DeleteFunc(slices.Clone(is), other))
		if diff != "" {
			all = append(all, Change{Side: hauberk.ServerSide, What: diff, MayLoosen: !harmless(key)})
		}
	}
	return all
}

// harmless reports whether a key outside of entries cannot admit calls that were rejected.
func harmless(key string) bool {
	for _, of := range []string{
		"count_bytes", "drain", "error_domain", "expose_errors", "gateway.drain",
		"gateway.telemetry", "gateway.upstream",
	} {
		if key == of || strings.HasPrefix(key, of+".") || strings.HasPrefix(key, of+"_") {
			return true
		}
	}
	return false
}

func publicChange(a, b *Explanation) []Change {
	c := Change{Method: a.Method, Side: hauberk.ServerSide}
	switch {
	case a.Public == b.Public:
		return nil
	case b.Public:
		c.What, c.MayLoosen = "is public now", true
	default:
		c.What = "is not public any more"
	}
	return []Change{c}
}

// chainChanges compares the entries that run.
func chainChanges(a, b *Explanation, side hauberk.Side) (all []Change) {
	was, is := running(a, side), running(b, side)
	change := func(loosens bool, format string, args ...any) {
		all = append(all, Change{a.Method, side, fmt.Sprintf(format, args...), loosens})
	}
	matched := make(map[int]int) // by index in is
	taken := make(map[int]bool)
	for i := range is {
		for j := range was {
			if !taken[j] && sameEntry(&was[j].Entry, &is[i].Entry) {
				matched[i], taken[j] = j, true
				break
			}
		}
	}
	for j := range was {
		if o := &was[j]; !taken[j] {
			change(true, "%s (old line %d) does not run any more", entryName(o.Entry), o.Line)
		}
	}
	last := -1
	for i := range is {
		e := &is[i]
		j, ok := matched[i]
		if !ok {
			change(false, "%s (line %d) runs now%s", entryName(e.Entry), e.Line, inMode(e.Mode))
			continue
		}
		o := &was[j]
		if o.Mode != e.Mode {
			change(e.Mode == Shadow, "%s (line %d) is in the mode %s now, not %s",
				entryName(e.Entry), e.Line, e.Mode, o.Mode)
		}
		if diff := settingsDiff(o.Settings, e.Settings); diff != "" {
			change(true, "%s (line %d): %s", entryName(e.Entry), e.Line, diff)
		}
		if j < last {
			change(true, "%s (line %d) runs at another place of the order", entryName(e.Entry), e.Line)
		}
		last = max(last, j)
	}
	return all
}

func running(e *Explanation, side hauberk.Side) (all []Step) {
	steps := e.Server
	if side == hauberk.ClientSide {
		steps = e.Client
	}
	for i := range steps {
		if steps[i].Runs {
			all = append(all, steps[i])
		}
	}
	return all
}

// sameEntry reports whether two entries are versions of the same one: by id, or else by the interceptor.
func sameEntry(a, b *Entry) bool { return a.Use == b.Use && a.ID == b.ID }

func entryName(e Entry) string {
	if e.ID != "" {
		return e.Use + " " + e.ID
	}
	return e.Use
}

func inMode(m Mode) string {
	if m == Enforce {
		return ""
	}
	return " in the mode " + m.String()
}

// settingsDiff returns what differs between the settings of two entries: "limit: 10/1s, was 5/1s".
func settingsDiff(was, is []Setting) string {
	old := make(map[string]string, len(was))
	for _, s := range was {
		old[s.Key] = s.Value
	}
	var parts []string
	for _, s := range is {
		value, ok := old[s.Key]
		delete(old, s.Key)
		switch {
		case !ok:
			parts = append(parts, s.String()+", was not set")
		case value != s.Value:
			parts = append(parts, s.String()+", was "+value)
		}
	}
	for _, s := range was {
		if _, ok := old[s.Key]; ok {
			parts = append(parts, s.Key+" is not set any more, was "+s.Value)
		}
	}
	return strings.Join(parts, "; ")
}

// summarized replaces changes that all methods have by one without a method.
func summarized(all []Change, methods int) []Change {
	key := func(c Change) string { return fmt.Sprint(c.Side, c.What) }
	count := make(map[string]int)
	for _, c := range all {
		count[key(c)]++
	}
	var global, some []Change
	seen := make(map[string]bool)
	for _, c := range all {
		switch {
		case count[key(c)] < methods:
			some = append(some, c)
		case !seen[key(c)]:
			seen[key(c)] = true
			c.Method = ""
			global = append(global, c)
		}
	}
	return append(global, some...)
}
