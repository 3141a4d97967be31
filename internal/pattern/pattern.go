// Package pattern parses and matches patterns that name sets of methods.
package pattern

import "strings"

// Want describes the form of a pattern, for error texts.
const Want = `want "package.Service/Method", "package.Service/*", "package.*" or "*"`

// Pattern is a set of methods: one ("shop.v1.Cart/Get"), those of a service
// ("shop.v1.Cart/*"), those of all services in a package and in the packages below it
// ("shop.v1.*"), or all ("*"). Names are case-sensitive. An empty field matches
// everything, so the zero value matches all methods. All others match only names that are
// [WellFormed].
type Pattern struct{ Package, Service, Name string }

// Parse parses a pattern and reports whether the text is one. A leading slash is optional.
func Parse(text string) (p Pattern, ok bool) {
	if text == "*" {
		return Pattern{}, true
	}
	text = strings.TrimPrefix(text, "/")
	if pkg, ok := strings.CutSuffix(text, ".*"); ok && dotted(pkg) { // without a slash
		return Pattern{Package: pkg}, true
	}
	service, name, ok := strings.Cut(text, "/")
	if !ok || !dotted(service) || name != "*" && !dotted(name) {
		return Pattern{}, false
	}
	if name == "*" {
		name = ""
	}
	return Pattern{Service: service, Name: name}, true
}

// WellFormed reports whether a service and a method have names that a pattern can match:
// identifiers separated by dots, of the characters that URLs never encode (RFC 3986,
// section 2.3). Callers can send any other name, such as "shop.v1/../admin.v1.Users",
// which a proxy may read as the name of another service.
func WellFormed(service, name string) bool { return dotted(service) && dotted(name) }

// dotted reports whether name consists of identifiers that are separated by dots.
func dotted(name string) bool {
	empty := true // the identifier
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-', c == '~':
			empty = false
		case c == '.' && !empty:
			empty = true
		default:
			return false
		}
	}
	return !empty
}

// Matches reports whether a method is in the set.
func (p Pattern) Matches(service, name string) bool {
	switch {
	case p.Name != "": // the names are those of the pattern
		return p.Name == name && p.Service == service
	case p.Service != "":
		return p.Service == service && dotted(name)
	case p.Package != "":
		return within(service, p.Package) && WellFormed(service, name)
	default:
		return true
	}
}

// Covers reports whether the set has every method of another one.
func (p Pattern) Covers(other Pattern) bool {
	switch {
	case p.Name != "":
		return p == other
	case p.Service != "":
		return p.Service == other.Service
	case p.Package != "":
		return p.Package == other.Package || within(other.Package, p.Package) || within(other.Service, p.Package)
	default:
		return true
	}
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
