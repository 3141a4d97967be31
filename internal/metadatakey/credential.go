package metadatakey

import (
	"slices"
	"strings"
)

// Credentials are patterns of the keys that identify a caller by a secret. A star is any text, and a pattern
// that begins with "*-" also is the rest of it: "authorization". They are spelled as by [Spelling].
//
//nolint:gochecknoglobals // never written
var Credentials = []string{
	"*-authorization", "*-cookie", "*-key", "*-jwt", "*-assertion", "*token", "*apikey", "*password", "*secret",
}

// Spelling returns the common spelling of keys that differ in case or in the separators of their words.
func Spelling(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(key), "_", "-"), ".", "-")
}

// Credential reports whether a key is one of [Credentials].
func Credential(key string) bool {
	key = Spelling(key)
	return slices.ContainsFunc(Credentials, func(pattern string) bool {
		end := pattern[1:]
		return strings.HasSuffix(key, end) || key == strings.TrimPrefix(end, "-")
	})
}
