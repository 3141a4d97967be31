package hauberk

import (
	"fmt"
	"strings"
)

// Pattern is a set of methods: one ("shop.v1.Cart/Get"), those of a service
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
		return pattern{}, fmt.Errorf("hauberk: bad pattern %q: want \"package.Service/Method\", \"package.Service/*\" or \"*\"", text)
	}
	if name == "*" {
		name = ""
	}
	return pattern{service, name}, nil
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
