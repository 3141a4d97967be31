package authn

import (
	"fmt"
	"strings"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
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
				"Config.Public: bad pattern %q: %s", text, pattern.Want)
		}
	}
	return set, nil
}

func (s *methods) add(text string) bool {
	p, ok := pattern.Parse(text)
	switch {
	case !ok:
		return false
	case p == pattern.Pattern{}:
		s.all = true
	case p.Name == "":
		s.services[p.Service] = true
	default:
		s.names[p.String()] = true
	}
	return true
}

func (s *methods) contains(m *hauberk.Method) bool {
	return s.all || s.services[m.Service()] || s.names[strings.TrimPrefix(m.FullName(), "/")]
}
