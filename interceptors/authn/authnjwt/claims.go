package authnjwt

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/internal/jsonobject"
)

// judge returns the identity of verified claims. Whether they have expired is judged last, so
// that only a token that is right in everything else is said to have expired.
func (v *Validator) judge(p *parsed, now time.Time) (*verified, error) {
	claims := p.claims
	if err := v.checkAudience(claims); err != nil {
		return nil, err
	}
	expires, err := expiry(claims)
	if err != nil {
		return nil, err
	}
	if err := v.checkNotBefore(claims, now); err != nil {
		return nil, err
	}
	if err := v.checkRequired(p); err != nil {
		return nil, err
	}
	t := new(verified)
	if err := v.identify(t, claims); err != nil {
		return nil, err
	}
	t.identity.Claims = jsonobject.WithIntegers(p.payload, claims)
	if t.identity.Expires = expires.Add(v.config.Leeway); !now.Before(t.identity.Expires) {
		return nil, fmt.Errorf("%w: at %s", authn.ErrTokenExpired, expires.UTC().Format(time.RFC3339))
	}
	return t, nil
}

// checkAudience judges "aud", and Config.AudienceClaim if that is set.
func (v *Validator) checkAudience(claims map[string]any) error {
	aud, named := claims["aud"], v.paths.audience
	if named.text == "" {
		return v.isForUs(audClaim, aud)
	}
	if aud != nil {
		if err := v.isForUs(audClaim, aud); err != nil {
			return err
		}
	}
	value, _, err := named.in(claims)
	if err != nil {
		return err
	}
	return v.isForUs(named, value)
}

// isForUs wants one of the audiences in a string or an array of strings (RFC 7519, 4.1.3).
func (v *Validator) isForUs(name claimPath, value any) error {
	if value == nil {
		return invalid(ErrAudience, "%s is missing", name)
	}
	list, ok := stringsOf(value)
	switch {
	case !ok:
		return invalid(ErrClaims, "%s is neither a string nor an array of strings", name)
	case !slices.ContainsFunc(list, func(a string) bool { return slices.Contains(v.config.Audiences, a) }):
		return invalid(ErrAudience, "%s is %s; want one of %s", name, quotedList(list), quotedList(v.config.Audiences))
	default:
		return nil
	}
}

// expiry returns the time of "exp".
func expiry(claims map[string]any) (time.Time, error) {
	exp, has := claims["exp"]
	if !has {
		return time.Time{}, invalid(ErrNoExpiry, "exp is missing")
	}
	at, ok := timeOf(exp)
	if !ok {
		return time.Time{}, notATime("exp", exp)
	}
	return at, nil
}

// checkNotBefore judges "nbf", and the type of "iat", which RFC 7519 gives no other rule for.
func (v *Validator) checkNotBefore(claims map[string]any, now time.Time) error {
	if iat, has := claims["iat"]; has {
		if _, ok := timeOf(iat); !ok {
			return notATime("iat", iat)
		}
	}
	nbf, has := claims["nbf"]
	if !has {
		return nil
	}
	switch at, ok := timeOf(nbf); {
	case !ok:
		return notATime("nbf", nbf)
	case now.Before(at.Add(-v.config.Leeway)):
		return invalid(ErrNotYetValid, "it is valid from %s", at.UTC().Format(time.RFC3339))
	default:
		return nil
	}
}

// latest is the end of the year 9999 in seconds. A claim with milliseconds is beyond it.
const latest = 253402300799

// notATime returns the error of a claim that is no NumericDate, with the number if it is one.
func notATime(name string, claim any) error {
	seconds, ok := claim.(float64)
	switch {
	case !ok:
		return invalid(ErrClaims, "%s is not a number; want seconds since 1970", name)
	case math.Abs(seconds) <= latest*1000:
		return invalid(ErrClaims, "%s is %.0f, beyond the year 9999; want seconds since 1970, not milliseconds",
			name, seconds)
	default:
		return invalid(ErrClaims, "%s is %g, out of range; want seconds since 1970", name, seconds)
	}
}

// timeOf returns the time of a NumericDate (RFC 7519, 2): seconds, which may have a fraction.
func timeOf(claim any) (time.Time, bool) {
	seconds, ok := claim.(float64)
	if !ok || math.Abs(seconds) > latest {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), true
}

// checkRequired judges Config.RequiredClaims.
func (v *Validator) checkRequired(p *parsed) error {
	claims := p.claims
	if v.paths.exact {
		var err error
		if claims, err = exactly(p.payload); err != nil {
			return err
		}
	}
	for _, r := range v.paths.required {
		value, _, err := r.in(claims)
		if err != nil {
			return err
		}
		if value == nil || len(r.allowed) > 0 && !slices.ContainsFunc(textsOf(value), func(s string) bool {
			return slices.Contains(r.allowed, s)
		}) {
			return invalid(ErrRequiredClaim, "%s is missing, or not one of the allowed values", r)
		}
	}
	return nil
}

// textsOf returns the texts of a string, a number, a boolean, or an array of them.
func textsOf(claim any) []string {
	switch c := claim.(type) {
	case string:
		return []string{c}
	case bool:
		return []string{strconv.FormatBool(c)}
	case json.Number:
		if text, ok := decimal(c); ok {
			return []string{text}
		}
		return nil
	case []any:
		var list []string
		for _, item := range c {
			if _, nested := item.([]any); !nested {
				list = append(list, textsOf(item)...)
			}
		}
		return list
	default:
		return nil
	}
}

// identify fills in the identity, but for its times and claims. A claim of the wrong type rejects the token: an
// identity without its roles would escape a rule that denies them.
func (v *Validator) identify(t *verified, claims map[string]any) error {
	id := &t.identity
	*id = authn.Identity{Issuer: v.config.Issuer, Method: v.Name()}
	for _, c := range []struct {
		path claimPath
		to   *string
	}{{v.paths.subject, &id.Subject}, {subClaim, &t.sub}, {jtiClaim, &t.jti}, {v.paths.tenant, &id.Tenant}} {
		value, has, err := c.path.in(claims)
		if err != nil {
			return err
		}
		text, ok := value.(string)
		if has && !ok {
			return invalid(ErrClaims, "%s is not a string", c.path)
		}
		*c.to = text
	}
	if id.Subject == "" {
		return invalid(ErrRequiredClaim, "%s is missing or empty", v.paths.subject)
	}
	t.subject = id.Subject
	roles, err := v.rolesOf(claims)
	if err != nil {
		return err
	}
	id.Roles = roles
	id.Scopes, err = scopesOf(claims)
	return err
}

// Claims whose places are no settings.
var (
	audClaim = claimPath{"aud", nil} //nolint:gochecknoglobals // never written
	subClaim = claimPath{"sub", nil} //nolint:gochecknoglobals // never written
	jtiClaim = claimPath{"jti", nil} //nolint:gochecknoglobals // never written
)

// rolesOf returns the strings of Config.RolesClaim.
func (v *Validator) rolesOf(claims map[string]any) ([]string, error) {
	value, _, err := v.paths.roles.in(claims)
	if err != nil || value == nil {
		return nil, err
	}
	roles, ok := stringsOf(value)
	if !ok {
		return nil, invalid(ErrClaims, "%s is neither a string nor an array of strings", v.paths.roles)
	}
	return roles, nil
}

// scopesOf returns the scopes of "scope" (RFC 8693, 4.2: a string with spaces) or "scp", each of
// which may also be an array.
func scopesOf(claims map[string]any) ([]string, error) {
	for _, name := range []string{"scope", "scp"} {
		switch c := claims[name].(type) {
		case nil:
			continue
		case string:
			return strings.Fields(c), nil
		default:
			list, ok := stringsOf(c)
			if !ok {
				return nil, invalid(ErrClaims, "%s is neither a string nor an array of strings", name)
			}
			return list, nil
		}
	}
	return nil, nil
}

// stringsOf returns a string, or an array of strings, as a list.
func stringsOf(claim any) ([]string, bool) {
	switch c := claim.(type) {
	case string:
		return []string{c}, true
	case []any:
		list := make([]string, len(c))
		for i, item := range c {
			text, ok := item.(string)
			if !ok {
				return nil, false
			}
			list[i] = text
		}
		return list, true
	default:
		return nil, false
	}
}
