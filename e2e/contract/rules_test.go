package contract_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// rules are the allowed differences in "compare" of a golden file.
type rules struct {
	Ignore          []string   `json:"ignore"`            // keys that are not compared, at any depth
	Alias           [][]string `json:"alias"`             // words that count as equal, in strings
	AliasPaths      []string   `json:"alias_paths"`       // paths below a call to which aliases apply; by default everywhere
	IgnoreLogPrefix []string   `json:"ignore_log_prefix"` // log entries that are dropped
	DropRecords     []string   `json:"drop_records"`      // events of records that are dropped
	IgnoreDetailsOf []string   `json:"ignore_details_of"` // codes whose details are not compared
	Note            string     `json:"note"`

	everywhere bool // aliases apply to the whole call
}

// rulesOf reads the rules of a golden file. An unknown rule is an error.
func rulesOf(golden map[string]any) (rules, error) {
	r := rules{everywhere: true}
	said, ok := golden["compare"]
	if !ok {
		return r, nil
	}
	raw, err := json.Marshal(said)
	if err != nil {
		return r, err
	}
	if err := decode(raw, &r); err != nil {
		return r, fmt.Errorf("the rules of comparison: %w", err)
	}
	if m, ok := said.(map[string]any); ok {
		_, some := m["alias_paths"]
		r.everywhere = !some
	}
	return r, nil
}

// aliased reports whether aliases apply at a path or below it.
func (r *rules) aliased(path string) bool {
	for _, p := range r.AliasPaths {
		if path == p || strings.HasPrefix(path, p+".") {
			return true
		}
	}
	return false
}

// rename replaces the words of each alias with the first of them.
func (r *rules) rename(s string) string {
	for _, words := range r.Alias {
		if len(words) == 0 {
			continue
		}
		for _, w := range words[1:] {
			s = replaceWord(s, w, words[0])
		}
	}
	return s
}

// replaceWord replaces a whole word.
func replaceWord(s, word, with string) string {
	var out strings.Builder
	at := 0
	for word != "" {
		i := strings.Index(s[at:], word)
		if i < 0 {
			break
		}
		from, to := at+i, at+i+len(word)
		if border(s, from) && border(s, to) {
			out.WriteString(s[at:from] + with)
			at = to
			continue
		}
		_, size := utf8.DecodeRuneInString(s[from:])
		out.WriteString(s[at : from+size])
		at = from + size
	}
	return out.String() + s[at:]
}

// border reports whether a word begins or ends at a place, as \b does in a regular
// expression.
func border(s string, at int) bool {
	before, _ := utf8.DecodeLastRuneInString(s[:at])
	after, _ := utf8.DecodeRuneInString(s[at:])
	return (at > 0 && inWord(before)) != (at < len(s) && inWord(after))
}

func inWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) }

// byLibrary reports whether the details of a status are a text of grpcio itself.
func byLibrary(details string) bool {
	for _, text := range []string{
		"Method not found!", "Deadline Exceeded", "Stream removed", "Locally cancelled by application!",
		"failed to connect", "Error in service handler!", "Exception calling application", "Exception iterating",
		"requires exactly one request message", "Exception deserializing request!",
		"Cancelled on the server side", "Channel closed",
	} {
		if strings.Contains(details, text) {
			return true
		}
	}
	return false
}
