package shape

import (
	"regexp"
	"strings"
)

// quoted is a quoted text.
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// Unquoted returns a text in which replace has replaced the parts outside of quoted texts.
func Unquoted(text string, replace func(part string) string) string {
	var b strings.Builder
	at := 0
	for _, span := range quoted.FindAllStringIndex(text, -1) {
		b.WriteString(replace(text[at:span[0]]) + text[span[0]:span[1]])
		at = span[1]
	}
	b.WriteString(replace(text[at:]))
	return b.String()
}
