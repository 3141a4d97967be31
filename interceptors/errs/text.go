package errs

import (
	"strings"
	"unicode/utf8"
)

const ellipsis = "…"

// cut returns a text in UTF-8 of at most so many bytes, which are at least those of the ellipsis. A text that is longer
// is cut at the border of a character, and ends with the ellipsis.
func cut(text string, most int) string {
	long := len(text) > most
	if long {
		text = text[:border(text, most)]
	}
	text = strings.ToValidUTF8(text, "\uFFFD") // which may be longer
	if !long && len(text) <= most {
		return text
	}
	return text[:border(text, most-len(ellipsis))] + ellipsis
}

// border returns the last border of a character up to a place.
func border(text string, at int) int {
	if at >= len(text) {
		return len(text)
	}
	for at > 0 && !utf8.RuneStart(text[at]) {
		at--
	}
	return at
}
