package hauberk

import (
	"fmt"
	"strings"
)

// pattern is a set of methods: one ("shop.v1.Cart/Get"), those of a service
// ("shop.v1.Cart/*"), or all ("*"). A leading slash is optional. Names are
// compared whole and as they are.
type pattern struct {
	service, name string // "" stands for any
}

func parsePattern(text string) (pattern, error) {
	if text == "*" {
		return pattern{}, nil
	}
	service, name, ok := strings.Cut(strings.TrimPrefix(text, "/"), "/")
	if !ok || !plainName(service) || name != "*" && !plainName(name) {
		return pattern{}, errPattern(text)
	}
	if name == "*" {
		name = ""
	}
	return pattern{service, name}, nil
}

// parsePatterns adds patterns to a list. The error names all that are bad.
func parsePatterns(to []pattern, texts []string) ([]pattern, error) {
	var bad []string
	for _, text := range texts {
		p, err := parsePattern(text)
		if err != nil {
			bad = append(bad, text)
		}
		to = append(to, p)
	}
	if bad != nil {
		return nil, errPattern(bad...)
	}
	return to, nil
}

func errPattern(bad ...string) error {
	quoted := strings.Trim(fmt.Sprintf("%q", bad), "[]")
	return fmt.Errorf("bad pattern %s: want \"package.Service/Method\", \"package.Service/*\" or \"*\"", quoted)
}

// plainName accepts what can stand between the slashes of a method name, except
// what looks like a pattern of some other language.
func plainName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`*?[]{}()|^$\/"'`, r)
	})
}

func (p pattern) matches(m *Method) bool {
	return (p.service == "" || p.service == m.service) && (p.name == "" || p.name == m.name)
}

// String writes the pattern without the optional slash.
func (p pattern) String() string {
	switch {
	case p.service == "":
		return "*"
	case p.name == "":
		return p.service + "/*"
	default:
		return p.service + "/" + p.name
	}
}
