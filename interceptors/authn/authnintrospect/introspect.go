package authnintrospect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/internal/jsonobject"
)

// Sentinels that errors.Is finds in outcomes, in this process.
var (
	// ErrInactive is found if the authorization server does not call the token active.
	ErrInactive = errors.New("authnintrospect: the token is not active")
	// ErrAudience is found if the token is for another service.
	ErrAudience = errors.New("authnintrospect: the token is for another audience")
	// ErrIssuer is found if the token is of another issuer.
	ErrIssuer = errors.New("authnintrospect: the token is of another issuer")
	// ErrScope is found if the token lacks one of Config.Scopes.
	ErrScope = errors.New("authnintrospect: the token lacks a scope")
	// ErrSubject is found if the answer has none of Config.SubjectMembers.
	ErrSubject = errors.New("authnintrospect: the answer names no subject")
	// ErrType is found if the token is no access token for bearers: a refresh token, or one that its
	// sender must prove to possess (DPoP).
	ErrType = errors.New("authnintrospect: the token is no bearer access token")
	// ErrTooLarge is found if the token is larger than Config.MaxTokenBytes.
	ErrTooLarge = errors.New("authnintrospect: the token is too large")
	// ErrBusy is found if Config.MaxRequests requests are in flight.
	ErrBusy = errors.New("authnintrospect: too many requests")
	// ErrEndpoint is found if the endpoint did not answer, or not as RFC 7662 says.
	ErrEndpoint = errors.New("authnintrospect: the introspection endpoint failed")
)

// maxBody is the size of the largest answer, in bytes.
const maxBody = 1 << 20

// introspect asks the endpoint for a token. Its error means that there is no answer.
func (m *Method) introspect(token string) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), m.config.Timeout)
	defer cancel()
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.config.Endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, fmt.Errorf("%w: %w", ErrEndpoint, err)
	}
	maps.Copy(req.Header, m.config.Header)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if m.config.ClientID != "" {
		req.SetBasicAuth(url.QueryEscape(m.config.ClientID), url.QueryEscape(m.config.ClientSecret))
	}
	resp, err := m.client.Do(req)
	if err != nil {
		return answer{}, fmt.Errorf("%w: %w", ErrEndpoint, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case err != nil:
		return answer{}, fmt.Errorf("%w: %w", ErrEndpoint, err)
	case resp.StatusCode != http.StatusOK:
		return answer{}, fmt.Errorf("%w: HTTP status %d; want 200", ErrEndpoint, resp.StatusCode)
	case kind != "application/json":
		return answer{}, fmt.Errorf("%w: Content-Type %q; want application/json", ErrEndpoint, kind)
	case len(body) > maxBody:
		return answer{}, fmt.Errorf("%w: the answer is longer than %d bytes", ErrEndpoint, maxBody)
	}
	return m.judge(body)
}

// introspection is an answer of RFC 7662, 2.2.
type introspection struct {
	subject  string
	issuer   string
	scopes   []string
	audience []string
	expires  time.Time // zero for none
	earliest time.Time // zero for none
	bearer   bool
}

// judge returns the identity of an answer, or why the token is rejected. Its error means that the
// answer is not one of RFC 7662. No error contains members of the answer.
func (m *Method) judge(body []byte) (answer, error) {
	members, err := jsonobject.Parse(body, maxDepth)
	if err != nil {
		return answer{}, fmt.Errorf("%w: the answer %w", ErrEndpoint, err)
	}
	switch active, ok := members["active"].(bool); {
	case !ok:
		return answer{}, fmt.Errorf("%w: the answer has no member \"active\" that is true or false", ErrEndpoint)
	case !active:
		return rejected(ErrInactive), nil
	}
	in, err := m.read(members)
	if err != nil {
		return answer{}, fmt.Errorf("%w: the member %w", ErrEndpoint, err)
	}
	if err := m.check(in, time.Now()); err != nil {
		return rejected(err), nil
	}
	return answer{identity: &authn.Identity{
		Subject: in.subject, Issuer: in.issuer, Method: "introspection",
		Scopes: in.scopes, Claims: jsonobject.WithIntegers(body, members), Expires: in.expires,
	}}, nil
}

// check returns why an active token is rejected, or nil.
func (m *Method) check(in introspection, now time.Time) error {
	switch {
	case in.subject == "":
		return fmt.Errorf("%w: it has none of %q", ErrSubject, m.config.SubjectMembers)
	case !in.bearer:
		return ErrType
	case m.config.Issuer != "" && in.issuer != m.config.Issuer:
		return ErrIssuer
	case len(m.config.Audiences) > 0 && !slices.ContainsFunc(in.audience, m.isAudience):
		return ErrAudience
	case !containsAll(in.scopes, m.config.Scopes):
		return ErrScope
	case now.Before(in.earliest):
		return ErrInactive
	case !in.expires.IsZero() && !now.Before(in.expires):
		return authn.ErrTokenExpired
	default:
		return nil
	}
}

// maxDepth is how deep an answer is nested at most.
const maxDepth = 32

// read reads the members that decide. Its error is about a member of the wrong type.
func (m *Method) read(members map[string]any) (in introspection, err error) {
	var scope, kind, use string
	for name, to := range map[string]*string{
		"iss": &in.issuer, "scope": &scope, "token_type": &kind, "token_use": &use,
	} {
		*to, err = textOf(members, name)
		if err != nil {
			return in, err
		}
	}
	for _, name := range m.config.SubjectMembers {
		text, err := textOf(members, name)
		if err != nil {
			return in, err
		}
		in.subject = cmp.Or(in.subject, text)
	}
	typ, _ := members["typ"].(string) // of Keycloak, not RFC 7662
	in.scopes, in.bearer = strings.Fields(scope), !slices.ContainsFunc([]string{kind, use, typ}, isOther)
	if in.audience, err = textsOf(members, "aud"); err != nil {
		return in, err
	}
	if in.expires, err = timeOf(members, "exp"); err != nil {
		return in, err
	}
	in.earliest, err = timeOf(members, "nbf")
	return in, err
}

// isOther reports whether a type of a token is not that of bearer access tokens. Authorization servers
// also name those otherwise.
func isOther(kind string) bool {
	return slices.ContainsFunc([]string{"refresh_token", "refresh", "dpop", "mac", "pop", "n_a"},
		func(other string) bool { return strings.EqualFold(kind, other) })
}

func rejected(cause error) answer {
	if !errors.Is(cause, authn.ErrTokenExpired) {
		cause = fmt.Errorf("%w: %w", authn.ErrInvalidToken, cause)
	}
	return answer{err: cause}
}

func (m *Method) isAudience(audience string) bool {
	return slices.Contains(m.config.Audiences, audience)
}

// textOf returns a member that is a string; "" for none.
func textOf(members map[string]any, name string) (string, error) {
	text, ok := members[name].(string)
	if !ok && members[name] != nil {
		return "", fmt.Errorf("%q is not a string", name)
	}
	return text, nil
}

// textsOf returns a member that is a string or a list of them.
func textsOf(members map[string]any, name string) ([]string, error) {
	list, ok := members[name].([]any)
	if !ok {
		text, err := textOf(members, name)
		if err != nil {
			return nil, fmt.Errorf("%q is neither a string nor a list of them", name)
		}
		return []string{text}, nil
	}
	texts := make([]string, len(list))
	for i, item := range list {
		if texts[i], ok = item.(string); !ok {
			return nil, fmt.Errorf("%q is neither a string nor a list of them", name)
		}
	}
	return texts, nil
}

// timeOf returns a member that is a NumericDate of RFC 7519; zero for none. Times beyond the range of
// time.Time are its ends.
func timeOf(members map[string]any, name string) (time.Time, error) {
	const last = 253402300799 // the end of the year 9999
	seconds, ok := members[name].(float64)
	switch {
	case members[name] == nil:
		return time.Time{}, nil
	case !ok:
		return time.Time{}, fmt.Errorf("%q is not a number", name)
	default:
		return time.Unix(int64(math.Max(1, math.Min(seconds, last))), 0), nil
	}
}

func containsAll(have, want []string) bool {
	return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(have, w) })
}
