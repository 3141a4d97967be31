package hauberk

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// methodPattern is a set of methods.
type methodPattern = pattern.Pattern

// parsePatterns parses a list of patterns. The error names all that are bad.
func parsePatterns(texts []string) ([]methodPattern, error) {
	parsed := make([]methodPattern, 0, len(texts))
	var bad []string
	for _, text := range texts {
		p, ok := pattern.Parse(text)
		if !ok {
			bad = append(bad, text)
		}
		parsed = append(parsed, p)
	}
	if bad != nil {
		return nil, fmt.Errorf("bad pattern %s: %s", quoted(bad), pattern.Want)
	}
	return parsed, nil
}

func anyMatches(patterns []methodPattern, m *Method) bool {
	return slices.ContainsFunc(patterns, func(p methodPattern) bool { return p.Matches(m.service, m.name) })
}

// quoted lists texts as in Go source.
func quoted(texts []string) string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = strconv.Quote(text)
	}
	return strings.Join(all, ", ")
}
