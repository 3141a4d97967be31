// Package errorinfo checks reasons of google.rpc.ErrorInfo.
package errorinfo

// MaxReason is the greatest length of a reason, by the comments of ErrorInfo.
const MaxReason = 63

// WantReason says what a reason has to be, for errors.
const WantReason = "want UPPER_SNAKE_CASE of at most 63 characters that match [A-Z][A-Z0-9_]+[A-Z0-9]"

// ValidReason reports whether a reason has the form that the comments of google.rpc.ErrorInfo require.
func ValidReason(reason string) bool {
	last := len(reason) - 1
	if last < 0 || last >= MaxReason || reason[0] < 'A' || reason[0] > 'Z' || reason[last] == '_' {
		return false
	}
	for i := range len(reason) {
		c := reason[i]
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}
