package policyimport

import (
	"strconv"
	"strings"
)

// yamlText returns a text in quotes. Texts of Go are texts of YAML and of CEL.
func yamlText(text string) string { return strconv.Quote(strings.ToValidUTF8(text, "\ufffd")) }

// yamlTexts returns a list of texts.
func yamlTexts(texts []string) string {
	all := make([]string, len(texts))
	for i, t := range texts {
		all[i] = yamlText(t)
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// comments returns notes as comments at the beginning of a file.
func comments(notes []string) string {
	var b strings.Builder
	for _, note := range notes {
		// A note may have a part of the source.
		b.WriteString("# " + strings.Map(func(r rune) rune {
			if r < ' ' || r == '\u0085' || r == '\u2028' || r == '\u2029' || r == '\ufeff' || r >= 0x7f && r < 0xa0 {
				return ' '
			}
			return r
		}, note) + "\n")
	}
	return b.String()
}
