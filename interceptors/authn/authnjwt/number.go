package authnjwt

import (
	"bytes"
	"math/big"
	"strconv"
	"strings"

	"github.com/go-jose/go-jose/v4/json"
)

// exactly parses claims again that parseObject has accepted, with numbers as they are written: a
// float64 has too few digits for a large ID.
func exactly(payload []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.SetNumberType(json.UnmarshalJSONNumber)
	var claims map[string]any
	if err := d.Decode(&claims); err != nil {
		return nil, invalid(ErrClaims, "the payload was decoded in two ways") // cannot be
	}
	return claims, nil
}

// Limits of numbers that are compared. The exponent of a float64 is within the second.
const (
	maxDigits   = 400
	maxExponent = 400
)

// decimal returns the exact value of a number without an exponent and unneeded zeros, such as "3" and
// "-0.5". Numbers that are too long have none.
func decimal(number json.Number) (string, bool) {
	text := string(number)
	if len(text) > maxDigits {
		return "", false
	}
	if _, exponent, has := strings.Cut(strings.ToLower(text), "e"); has {
		if e, err := strconv.Atoi(exponent); err != nil || e > maxExponent || e < -maxExponent {
			return "", false
		}
	}
	exact, ok := new(big.Rat).SetString(text)
	if !ok {
		return "", false
	}
	digits, _ := exact.FloatPrec() // a number of JSON has a last digit
	return exact.FloatString(digits), true
}
