package hauberk

import (
	"fmt"
	"strings"

	patterns "github.com/hauberk-rpc/hauberk/internal/pattern"
)

// pattern is a set of methods.
type pattern = patterns.Pattern

func parsePattern(text string) (pattern, error) {
	p, ok := patterns.Parse(text)
	if !ok {
		return p, errPattern(text)
	}
	return p, nil
}

// parsePatterns adds patterns to a list. The error names all that are bad.
func parsePatterns(to []pattern, texts []string) ([]pattern, error) {
	var bad []string
	for _, text := range texts {
		p, ok := patterns.Parse(text)
		if !ok {
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
	return fmt.Errorf("bad pattern %s: %s", quoted, patterns.Want)
}
