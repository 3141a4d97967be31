package authz

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// unmatched returns the patterns of the Config's rules that match none of the methods of a server.
// A rule of Deny with such a pattern denies nothing.
func (x *Interceptor) unmatched(methods []*hauberk.Method) []string {
	u := unmatched{index: pattern.IndexOf(methods), methods: methods, shared: x.config.Shared}
	u.add("Deny", x.config.Policy.Deny)
	u.add("Allow", x.config.Policy.Allow)
	return u.found
}

// idle returns the patterns of Deny that match only public methods: rules do not hold for these. Patterns of all
// methods are left out.
func (x *Interceptor) idle(methods []*hauberk.Method) (all []string) {
	for i := range x.config.Policy.Deny {
		r := &x.config.Policy.Deny[i]
		add := func(text string, matches func(m *hauberk.Method) bool) {
			matched := func(m *hauberk.Method) bool { return matches(m) && !m.Public() }
			if slices.ContainsFunc(methods, matches) && !slices.ContainsFunc(methods, matched) {
				all = append(all, fmt.Sprintf("%s(%.100q) denies only public methods, which pass without a rule",
					settingOf("Deny", i, r), text))
			}
		}
		set, _ := pattern.ParseAll(r.Methods)
		for _, p := range set {
			if p != (pattern.Pattern{}) {
				add(p.String(), func(m *hauberk.Method) bool { return p.Matches(m.Service(), m.Name()) })
			}
		}
		for _, path := range r.Paths {
			if t, err := parseTexts([]string{path}, false); err == nil && !t.all {
				add(path, func(m *hauberk.Method) bool { return t.match(m.FullName()) })
			}
		}
	}
	return all
}

// settingOf returns how errors name a rule.
func settingOf(list string, i int, r *Rule) string {
	setting := fmt.Sprintf("authz.Config.Policy.%s[%d]", list, i)
	if r.Name != "" {
		setting = fmt.Sprintf("%s %.100q", setting, r.Name)
	}
	return setting
}

// unmatched collects patterns that match no method.
type unmatched struct {
	index   *pattern.Index
	methods []*hauberk.Method
	shared  bool
	found   []string
}

func (u *unmatched) add(list string, rules []Rule) {
	for i := range rules {
		r := &rules[i]
		if r.Methods == nil && r.Paths == nil {
			continue
		}
		setting := settingOf(list, i, r)
		set, _ := pattern.ParseAll(r.Methods)
		if u.shared {
			set = slices.DeleteFunc(set, func(p pattern.Pattern) bool { return !u.index.Serves(p) })
		}
		u.found = append(u.found, u.index.Unmatched(setting, set)...)
		for _, path := range r.Paths {
			if !u.hasPath(path) {
				u.found = append(u.found, fmt.Sprintf("%s(%.100q)", setting, path))
			}
		}
	}
}

// hasPath reports whether a text pattern matches the full name of a method, or may match none.
func (u *unmatched) hasPath(path string) bool {
	text, kind, err := parseText(path)
	if err != nil || kind == anyText {
		return true
	}
	optional := u.shared || strings.HasPrefix(text, "/grpc.")
	if kind == wholeText {
		return u.hasMethod(text, optional)
	}
	if service, _, whole := strings.Cut(strings.TrimPrefix(text, "/"), "/"); optional &&
		(kind == suffixText || !whole || !u.index.Serves(pattern.Pattern{Service: service})) {
		return true
	}
	t, err := parseTexts([]string{path}, false)
	return err != nil || slices.ContainsFunc(u.methods, func(m *hauberk.Method) bool { return t.match(m.FullName()) })
}

// hasMethod is hasPath for the full name of a method. The server may do without an optional service.
func (u *unmatched) hasMethod(full string, optional bool) bool {
	service, name, ok := strings.Cut(strings.TrimPrefix(full, "/"), "/")
	p := pattern.Pattern{Service: service, Name: name}
	return ok && service != "" && (name != "" && u.index.Has(p) || optional && !u.index.Serves(p))
}
