// Package nearest finds the name that is most like another one, for errors.
package nearest

import "strings"

// maxLength bounds the names that are compared, in bytes.
const maxLength = 100

// Of returns the candidate that is most like name, or "" if none is like it: at most a third of the letters
// differ, or one contains the other.
func Of(name string, candidates []string) (best string) {
	least := len(name)/3 + 1
	if len(name) < 2 || len(name) > maxLength {
		return ""
	}
	for _, candidate := range candidates {
		if d := Unlike(name, candidate); d <= least && (best == "" || d < least) {
			best, least = candidate, d
		}
	}
	return best
}

// Unlike returns how unlike two names are: 0 for equal ones, 1 if one contains the other, and otherwise their
// [Distance].
func Unlike(a, b string) int {
	d := Distance(a, b)
	if d > 1 && a != "" && b != "" && (strings.Contains(a, b) || strings.Contains(b, a)) {
		return 1
	}
	return d
}

// Distance returns the Levenshtein distance of two texts, by bytes.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
