package authn

import (
	"fmt"
	"strings"

	"github.com/hauberk-rpc/hauberk"
)

// methods is a set of methods, given by the patterns of [hauberk.For].
type methods struct {
	all      bool
	services map[string]bool
	names    map[string]bool // "package.Service/Method"
}

func parseMethods(patterns []string) (methods, error) {
	set := methods{services: make(map[string]bool), names: make(map[string]bool)}
	for _, text := range patterns {
		if !set.add(text) {
			return methods{}, fmt.Errorf(
				`Config.Public: bad pattern %q: want "package.Service/Method", "package.Service/*" or "*"`, text)
		}
	}
	return set, nil
}

func (s *methods) add(text string) bool {
	if text == "*" {
		s.all = true
		return true
	}
	text = strings.TrimPrefix(text, "/")
	service, name, ok := strings.Cut(text, "/")
	switch {
	case !ok || !plain(service):
		return false
	case name == "*":
		s.services[service] = true
	case plain(name):
		s.names[text] = true
	default:
		return false
	}
	return true
}

// plain accepts what can stand between the slashes of a method's name, except what
// looks like a pattern of some other language.
func plain(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`*?[]{}()|^$\/"'`, r)
	})
}

func (s *methods) contains(m *hauberk.Method) bool {
	return s.all || s.services[m.Service()] || s.names[strings.TrimPrefix(m.FullName(), "/")]
}
