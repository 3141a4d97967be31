package authn

import (
	"context"
	"strings"

	"github.com/hauberk-rpc/hauberk"
)

// header is the metadata key of tokens.
const header = "authorization"

// scheme precedes the token. Its case does not matter (RFC 9110, 11.1).
const scheme = "Bearer"

// BearerToken returns the bearer token of a call, for a [Method] of bearer tokens. The token is
// well-formed: a b64token of RFC 6750.
//
// The error is the rejection that [Bearer] documents: for a call without the metadata key
// "authorization" it wraps [ErrNoCredential], so that the next method runs; for a call with
// several values, or another one than "Bearer" and a token, it decides.
func BearerToken(ctx context.Context, call *hauberk.Call) (string, error) {
	return tokenIn(call.Metadata(ctx, header))
}

// tokenIn returns the token in the values of a call's authorization. Several values are
// malformed: a proxy may have checked another one than this server would.
func tokenIn(values []string) (string, error) {
	if len(values) == 0 {
		return "", errMissing
	}
	token, ok := parse(values[0])
	if !ok || len(values) > 1 {
		return "", errMalformed
	}
	return token, nil
}

// parse returns the token of credentials (RFC 6750, 2.1): the scheme, spaces and the token.
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
	var bad byte // no branch for each of the hundreds of characters of a token
	for i := range len(body) {
		bad |= illegal[body[i]]
	}
	return bad == 0 && body != ""
}

// illegal has 1 for each character that is not allowed in a token.
var illegal = func() (table [256]byte) { //nolint:gochecknoglobals // a table that is never written
	const legal = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"
	for c := range table {
		if !strings.ContainsRune(legal, rune(c)) {
			table[c] = 1
		}
	}
	return table
}()
