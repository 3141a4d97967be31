package authnjwt

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

// maxHeaderBytes limits the header of a token, as it is encoded.
const maxHeaderBytes = 8 << 10

// Limits of nesting.
const (
	headerDepth = 8
	claimsDepth = 16
)

// head is what the header of a token says.
type head struct {
	algorithm string
	keyID     string
	hasID     bool
	typ       string
}

// parsed is a token that is well-formed. Nothing of it is verified.
type parsed struct {
	head    head
	payload []byte
	claims  map[string]any
}

// strict is base64url without padding, and with zero bits at the end (RFC 7515, 2).
var strict = base64.RawURLEncoding.Strict() //nolint:gochecknoglobals // never written

// parse splits a token and decodes its parts, without a look at its signature. It returns an error
// of another method if the token is no compact JWS or by another issuer, also if its header would be
// rejected: that issuer may use other algorithms, types and sizes.
func (v *Validator) parse(token string) (*parsed, error) {
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, three := strings.Cut(rest, ".")
	if !three || strings.Contains(signature, ".") {
		return nil, other(ErrMalformed, "it has not three parts")
	}
	tooLarge := v.checkSize(token, header)
	if len(token)/largerIssuers > v.config.MaxTokenBytes {
		return nil, tooLarge
	}
	p := new(parsed)
	headErr := tooLarge
	if headErr == nil {
		p.head, headErr = v.parseHeader(header)
	}
	if errors.Is(headErr, authn.ErrOtherMethod) {
		return nil, headErr
	}
	claimsErr := p.parsePayload(payload)
	if claimsErr == nil {
		claimsErr = v.checkIssuer(p.claims)
	}
	switch {
	case errors.Is(claimsErr, authn.ErrOtherMethod):
		return nil, claimsErr
	case headErr != nil:
		return nil, headErr
	case claimsErr != nil:
		return nil, claimsErr
	}
	if _, err := decodeBase64(signature); err != nil || signature == "" {
		return nil, invalid(ErrSignature, "it is empty, or not base64url")
	}
	return p, nil
}

// largerIssuers is how many times MaxTokenBytes a token may have to be left to another method. The
// issuer of a larger one is not looked for.
const largerIssuers = 4

func (v *Validator) checkSize(token, header string) error {
	if len(token) > v.config.MaxTokenBytes || len(header) > maxHeaderBytes {
		return invalid(ErrTooLarge, "it has %d bytes, its header %d; want at most %d and %d",
			len(token), len(header), v.config.MaxTokenBytes, maxHeaderBytes)
	}
	return nil
}

// parseHeader parses the first part of a token.
func (v *Validator) parseHeader(part string) (head, error) {
	members, err := decodePart(part, headerDepth)
	if err != nil {
		return head{}, other(ErrMalformed, "its header "+err.Error())
	}
	if _, ok := members["alg"].(string); !ok {
		return head{}, other(ErrMalformed, "its header has no alg")
	}
	return v.parseHead(members)
}

// parsePayload parses the second part of a token.
func (p *parsed) parsePayload(part string) (err error) {
	if p.payload, err = decodeBase64(part); err == nil {
		p.claims, err = parseObject(p.payload, claimsDepth)
	}
	if err != nil {
		return invalid(ErrClaims, "the payload %v", err)
	}
	return nil
}

// checkIssuer compares the issuer, which need not be verified for that: no key but those of
// Config.Issuer is tried.
func (v *Validator) checkIssuer(claims map[string]any) error {
	switch iss, ok := claims["iss"].(string); {
	case !ok:
		return invalid(ErrIssuer, "iss is missing or not a string")
	case iss != v.config.Issuer && !slices.Contains(v.config.IssuerAliases, iss):
		return other(ErrIssuer, quoted(iss))
	default:
		return nil
	}
}

// parseHead returns the header of a token that this validator can judge. "jwk", "jku", "x5c" and
// "x5u" are not looked at, nor are members that it does not know (RFC 7515, 4). go-jose parses "jwk"
// and "x5c" later, in keySet.verify.
func (v *Validator) parseHead(members map[string]any) (head, error) {
	h := head{algorithm: members["alg"].(string)}
	if !slices.Contains(v.config.Algorithms, h.algorithm) {
		return h, invalid(ErrAlgorithm, "%s", quoted(h.algorithm))
	}
	for _, name := range []string{"crit", "b64"} { // RFC 7515, 4.1.11; RFC 7797
		if _, has := members[name]; has {
			return h, invalid(ErrHeader, "it has %s", name)
		}
	}
	var nested string
	for name, to := range map[string]*string{"kid": &h.keyID, "typ": &h.typ, "cty": &nested} {
		value, has := members[name]
		if !has {
			continue
		}
		text, ok := value.(string)
		if !ok {
			return h, invalid(ErrHeader, "%s is not a string", name)
		}
		*to = text
	}
	_, h.hasID = members["kid"]
	switch {
	case len(h.keyID) > maxKeyIDBytes:
		return h, invalid(ErrHeader, "kid has %d bytes; want at most %d", len(h.keyID), maxKeyIDBytes)
	case isType(nested, "jwt"): // RFC 7519, 5.2
		return h, invalid(ErrHeader, "the token is nested")
	case v.config.Type != "" && !isType(h.typ, v.config.Type):
		return h, invalid(ErrType, "typ is %s", quoted(h.typ))
	default:
		return h, nil
	}
}

// isType compares media types, from which "application/" may be left out (RFC 7515, 4.1.9).
func isType(a, b string) bool {
	return strings.EqualFold(withoutApplication(a), withoutApplication(b))
}

func withoutApplication(s string) string {
	const prefix = "application/"
	if len(s) > len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):]
	}
	return s
}

func decodePart(part string, depth int) (map[string]any, error) {
	data, err := decodeBase64(part)
	if err != nil {
		return nil, err
	}
	return parseObject(data, depth)
}

// decodeBase64 decodes a part of a token. Its errors do not quote it.
func decodeBase64(part string) ([]byte, error) {
	if strings.ContainsAny(part, "\r\n") { // which the decoder skips
		return nil, errBase64
	}
	data, err := strict.DecodeString(part)
	if err != nil {
		return nil, errBase64
	}
	return data, nil
}

var (
	errBase64 = errors.New("is not base64url")
	errUTF8   = errors.New("is not UTF-8")
	errJSON   = errors.New("is not a JSON object with distinct members")
)

// parseObject parses a JSON object in which no member occurs twice, at any depth. Numbers are
// float64; one that is out of its range is an error. Errors do not quote the text.
func parseObject(data []byte, depth int) (map[string]any, error) {
	if !utf8.Valid(data) {
		return nil, errUTF8
	}
	if deeper(data, depth) {
		return nil, fmt.Errorf("is nested more than %d levels deep", depth)
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil || object == nil {
		return nil, errJSON
	}
	return object, nil
}

// deeper reports whether brackets outside of strings are nested deeper than a depth.
func deeper(data []byte, depth int) bool {
	level, inString := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			level++
			if level > depth {
				return true
			}
		case c == '}' || c == ']':
			level--
		}
	}
	return false
}
