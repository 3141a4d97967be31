package authn

import "strings"

// header is the metadata key that tokens travel under.
const header = "authorization"

// scheme stands before the token. Its case does not matter (RFC 9110, 11.1).
const scheme = "Bearer"

// bearer returns the token in the values of a call's authorization. Of more than
// one value none is taken: who is to say which of them somebody else looked at.
func bearer(values []string) (string, error) {
	if len(values) == 0 {
		return "", errMissing
	}
	token, ok := parse(values[0])
	if !ok || len(values) > 1 {
		return "", errMalformed
	}
	return token, nil
}

// parse returns the token of credentials as RFC 6750, 2.1, has them: the scheme,
// spaces and the token.
func parse(credentials string) (token string, ok bool) {
	if len(credentials) < len(scheme) || !strings.EqualFold(credentials[:len(scheme)], scheme) {
		return "", false
	}
	rest := credentials[len(scheme):]
	token = strings.TrimLeft(rest, " ")
	return token, len(token) < len(rest) && wellFormed(token)
}

// wellFormed reports whether a token is a b64token of RFC 6750.
func wellFormed(token string) bool {
	body := strings.TrimRight(token, "=")
	for i := range len(body) {
		if !legal(body[i]) {
			return false
		}
	}
	return body != ""
}

// Bits of the characters 0 to 63 and 64 to 127 of ASCII that a token may have.
const (
	legalLow  = 1<<'+' | 1<<'-' | 1<<'.' | 1<<'/' | (1<<10-1)<<'0'
	legalHigh = (1<<26-1)<<('A'-64) | (1<<26-1)<<('a'-64) | 1<<('_'-64) | 1<<('~'-64)
)

func legal(c byte) bool {
	switch {
	case c < 64:
		return uint64(legalLow)>>c&1 == 1
	case c < 128:
		return uint64(legalHigh)>>(c-64)&1 == 1
	default:
		return false
	}
}
