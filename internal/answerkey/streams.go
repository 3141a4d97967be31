package answerkey

import (
	"fmt"
	"slices"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// Streams returns an error for each of some methods that a pattern names by itself and that streams: only unary calls
// have answers that can be kept or shared, so that the pattern has no effect. setting is the name of the patterns.
func Streams(setting string, patterns pattern.Set, methods []*hauberk.Method) []string {
	var all []string
	for _, m := range methods {
		named := func(p pattern.Pattern) bool { return p.Name != "" && p.Matches(m.Service(), m.Name()) }
		if m.Kind() != hauberk.Unary && slices.ContainsFunc(patterns, named) {
			text := fmt.Sprintf("%s has %s/%s, which streams; want unary methods", setting, m.Service(), m.Name())
			all = append(all, text)
		}
	}
	return all
}

// Invalid returns an error for each method that Config.Methods names and that streams.
func (k *Keys) Invalid(methods []*hauberk.Method) []string {
	return Streams(k.config.Name+".Config.Methods", k.methods, methods)
}
