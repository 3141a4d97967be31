package authnjwt

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

// Sentinels that errors.Is finds in the rejection of a token, in this process. All but
// ErrKeys and ErrMalformed come with authn.ErrInvalidToken; an expired token is an
// authn.ErrTokenExpired and a revoked one an authn.ErrTokenRevoked.
var (
	// ErrMalformed is found if the token is no JWS in compact serialization. It comes with
	// authn.ErrOtherMethod, so that a later method may judge the token.
	ErrMalformed = errors.New("authnjwt: the token is not a compact JWS")
	// ErrTooLarge is found if the token is larger than Config.MaxTokenBytes, or its header than
	// 8 KiB.
	ErrTooLarge = errors.New("authnjwt: the token is too large")
	// ErrHeader is found if the header has a member that is not supported ("crit", "b64"), is
	// of the wrong type, or says that the token is nested.
	ErrHeader = errors.New("authnjwt: the header of the token is not supported")
	// ErrType is found if the "typ" is not Config.Type.
	ErrType = errors.New("authnjwt: the token is of another type")
	// ErrAlgorithm is found if the "alg" is not one of Config.Algorithms.
	ErrAlgorithm = errors.New("authnjwt: the algorithm is not allowed")
	// ErrUnknownKey is found if no key of the issuer fits the token's "kid" and "alg".
	ErrUnknownKey = errors.New("authnjwt: the key is unknown")
	// ErrSignature is found if the signature is not by one of the keys that fit.
	ErrSignature = errors.New("authnjwt: the signature is not valid")
	// ErrIssuer is found if the "iss" is missing, or neither Config.Issuer nor an alias. If it is another one, it
	// comes with authn.ErrOtherMethod.
	ErrIssuer = errors.New("authnjwt: the token is by another issuer")
	// ErrAudience is found if the "aud", or Config.AudienceClaim, is missing or has none of
	// Config.Audiences.
	ErrAudience = errors.New("authnjwt: the token is for another audience")
	// ErrClaims is found if the claims are not a JSON object, have duplicate members, are nested
	// too deeply, or a claim is of the wrong type or out of range.
	ErrClaims = errors.New("authnjwt: the claims are malformed")
	// ErrNoExpiry is found if the token has no "exp".
	ErrNoExpiry = errors.New("authnjwt: the token does not expire")
	// ErrNotYetValid is found before the time of the token's "nbf".
	ErrNotYetValid = errors.New("authnjwt: the token is not yet valid")
	// ErrRequiredClaim is found if a claim is not as Config.RequiredClaims says, or there is no
	// subject.
	ErrRequiredClaim = errors.New("authnjwt: a required claim is missing")
	// ErrKeys is found if there are no keys, or only keys older than Refresh.MaxStale, so that
	// no token could be judged. The call ends with UNAVAILABLE.
	ErrKeys = errors.New("authnjwt: no usable keys")
)

// invalid returns the error of a token that this method rejects.
func invalid(sentinel error, format string, args ...any) error {
	return fmt.Errorf("%w: %w: %s", authn.ErrInvalidToken, sentinel, fmt.Sprintf(format, args...))
}

// other returns the error of a token that another method may judge.
func other(sentinel error, detail string) error {
	return fmt.Errorf("%w: %w: %s", authn.ErrOtherMethod, sentinel, detail)
}

// quoted returns text of an untrusted caller for an error: escaped, and not long.
func quoted(s string) string {
	const most = 64
	if len(s) > most {
		return fmt.Sprintf("%q and %d more bytes", s[:most], len(s)-most)
	}
	return fmt.Sprintf("%q", s)
}

// quotedList returns texts of an untrusted caller for an error.
func quotedList(list []string) string {
	const most = 3
	shown := first(list, most)
	texts := make([]string, len(shown))
	for i, s := range shown {
		texts[i] = quoted(s)
	}
	text := strings.Join(texts, ", ")
	switch {
	case len(list) == 0:
		return "empty"
	case len(list) > most:
		return fmt.Sprintf("%s and %d more", text, len(list)-most)
	default:
		return text
	}
}
