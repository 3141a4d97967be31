// Package pattern parses and matches patterns that name sets of methods.
package pattern

import "strings"

// Want describes the form of a pattern, for error texts.
const Want = `want "package.Service/Method", "package.Service/*", "package.*" or "*"`

// Pattern is a set of methods: one ("shop.v1.Cart/Get"), those of a service
// ("shop.v1.Cart/*"), those of all services in a package and in the packages below it
// ("shop.v1.*"), or all ("*"). Names are case-sensitive. An empty field matches
// everything, so the zero value matches all methods.
type Pattern struct{ Package, Service, Name string }

// Parse parses a pattern and reports whether the text is one. A leading slash is optional.
func Parse(text string) (p Pattern, ok bool) {
	if text == "*" {
		return Pattern{}, true
	}
	text = strings.TrimPrefix(text, "/")
	if pkg, ok := strings.CutSuffix(text, ".*"); ok && plain(pkg) { // without a slash
		return Pattern{Package: pkg}, true
	}
	service, name, ok := strings.Cut(text, "/")
	if !ok || !plain(service) || name != "*" && !plain(name) {
		return Pattern{}, false
	}
	if name == "*" {
		name = ""
	}
	return Pattern{Service: service, Name: name}, true
}

// plain reports whether name can be a part of a method's name between slashes. It rejects
// characters that other pattern languages use.
func plain(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`*?[]{}()|^$\/"'`, r)
	})
}

// Matches reports whether a method is in the set.
func (p Pattern) Matches(service, name string) bool {
	return (p.Service == "" || p.Service == service) && (p.Name == "" || p.Name == name) &&
		(p.Package == "" || within(service, p.Package))
}

// within reports whether a service is in a package or in one below it.
func within(service, pkg string) bool {
	return len(service) > len(pkg) && service[len(pkg)] == '.' && service[:len(pkg)] == pkg
}

// String returns the pattern without the optional slash.
func (p Pattern) String() string {
	switch {
	case p.Package != "":
		return p.Package + ".*"
	case p.Service == "":
		return "*"
	case p.Name == "":
		return p.Service + "/*"
	default:
		return p.Service + "/" + p.Name
	}
}

// Set is the methods that match at least one of several patterns.
type Set []Pattern

// ParseAll parses a list of patterns. bad has the texts that are none, in their order, for
// the caller's error.
func ParseAll(texts []string) (set Set, bad []string) {
	set = make(Set, 0, len(texts))
	for _, text := range texts {
		p, ok := Parse(text)
		if !ok {
			bad = append(bad, text)
			continue
		}
		set = append(set, p)
	}
	return set, bad
}

// Matches reports whether a method is in the set.
func (s Set) Matches(service, name string) bool {
	for _, p := range s {
		if p.Matches(service, name) {
			return true
		}
	}
	return false
}
