package hauberk

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// parsePatterns parses a list of patterns. The error names all that are bad.
func parsePatterns(texts []string) (pattern.Set, error) {
	set, bad := pattern.ParseAll(texts)
	if bad != nil {
		return nil, fmt.Errorf("bad pattern %s: %s", quoted(bad), pattern.Want)
	}
	return set, nil
}

// quoted lists texts as in Go source.
func quoted(texts []string) string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = strconv.Quote(text)
	}
	return strings.Join(all, ", ")
}
