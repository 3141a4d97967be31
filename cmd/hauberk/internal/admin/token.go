package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hauberk-rpc/hauberk/internal/reload"
)

// MinToken is the least number of characters of a token.
const MinToken = 32

// token is a token of which only the sum is kept.
type token [sha256.Size]byte

// tokenFile is the file with the token.
type tokenFile = reload.File[token]

// openToken reads the file of a token, and follows it. failed receives problems of later reads. It returns nil if the
// path is empty.
func openToken(path string, failed func(error)) (*tokenFile, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // the caller checks for nil
	}
	file, err := reload.Open(path, parseToken, nil, reload.Settings{MaxBytes: 4096, Failed: failed})
	if err != nil {
		return nil, fmt.Errorf("--admin-token-file: %w", err)
	}
	return file, nil
}

// parseToken reads a token. Its text is in no error.
func parseToken(data []byte) (token, error) {
	text := strings.TrimSpace(string(data))
	if len(text) < MinToken {
		return token{}, fmt.Errorf(
			"the token has %d characters; want %d or more, such as those of: openssl rand -hex 32", len(text), MinToken)
	}
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' {
			return token{}, errors.New("the token has spaces or characters beyond ASCII; want one such as that of: " +
				"openssl rand -hex 32")
		}
	}
	return sha256.Sum256([]byte(text)), nil
}

// permits reports whether a request has the token.
func (t token) permits(r *http.Request) bool {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return false
	}
	scheme, text, _ := strings.Cut(values[0], " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(text)))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(sum[:], t[:]) == 1
}
