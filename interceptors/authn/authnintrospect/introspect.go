package authnintrospect

import (
	"context"
	"encoding/json"
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
	// ErrEndpoint is found if the endpoint did not answer, or not as RFC 7662 says.
	ErrEndpoint = errors.New("authnintrospect: the introspection endpoint failed")
)

// maxBody is the size of the largest answer, in bytes.
const maxBody = 1 << 20

// introspect asks the endpoint for a token. Its error means that there is no answer.
func (m *Method) introspect(ctx context.Context, token string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, m.config.Timeout)
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

// introspection is an answer of RFC 7662, 2.2. Members of other types are an error.
type introspection struct {
	Active   *bool           `json:"active"`
	Scope    string          `json:"scope"`
	ClientID string          `json:"client_id"`
	Username string          `json:"username"`
	Subject  string          `json:"sub"`
	Issuer   string          `json:"iss"`
	Audience json.RawMessage `json:"aud"`
	Expires  *float64        `json:"exp"`
	Earliest *float64        `json:"nbf"`
}

// judge returns the identity of an answer, or why the token is rejected. Its error means that the
// answer is not one of RFC 7662. No error contains members of the answer.
func (m *Method) judge(body []byte) (answer, error) {
	var in introspection
	claims := make(map[string]any)
	if err := errors.Join(json.Unmarshal(body, &in), json.Unmarshal(body, &claims)); err != nil {
		return answer{}, fmt.Errorf("%w: the answer is not JSON of RFC 7662", ErrEndpoint)
	}
	if in.Active == nil {
		return answer{}, fmt.Errorf("%w: the answer has no member \"active\"", ErrEndpoint)
	}
	if !*in.Active {
		return rejected(ErrInactive), nil
	}
	audiences, err := audiencesOf(in.Audience)
	if err != nil {
		return answer{}, err
	}
	id := &authn.Identity{
		Subject: firstOf(in.Subject, in.Username, in.ClientID), Issuer: in.Issuer, Method: "introspection",
		Scopes: strings.Fields(in.Scope), Claims: claims, Expires: timeOf(in.Expires),
	}
	switch {
	case id.Subject == "":
		return answer{}, fmt.Errorf("%w: the answer has none of sub, username and client_id", ErrEndpoint)
	case m.config.Issuer != "" && in.Issuer != m.config.Issuer:
		return rejected(ErrIssuer), nil
	case len(m.config.Audiences) > 0 && !slices.ContainsFunc(audiences, m.isAudience):
		return rejected(ErrAudience), nil
	case !containsAll(id.Scopes, m.config.Scopes):
		return rejected(ErrScope), nil
	case in.Earliest != nil && time.Now().Before(timeOf(in.Earliest)):
		return rejected(ErrInactive), nil
	case id.Expired(time.Now()):
		return answer{err: authn.ErrTokenExpired}, nil
	default:
		return answer{identity: id}, nil
	}
}

func rejected(cause error) answer { return answer{err: errors.Join(authn.ErrInvalidToken, cause)} }

func (m *Method) isAudience(audience string) bool {
	return slices.Contains(m.config.Audiences, audience)
}

// audiencesOf returns the audiences of an answer: a string, or a list of them.
func audiencesOf(raw json.RawMessage) (list []string, err error) {
	var one string
	switch {
	case len(raw) == 0:
		return nil, nil
	case json.Unmarshal(raw, &one) == nil:
		return []string{one}, nil
	case json.Unmarshal(raw, &list) == nil:
		return list, nil
	default:
		return nil, fmt.Errorf("%w: the member \"aud\" is neither a string nor a list of them", ErrEndpoint)
	}
}

// timeOf returns a NumericDate of RFC 7519. Those beyond the range of time are its ends.
func timeOf(seconds *float64) time.Time {
	const last = 253402300799 // the end of the year 9999
	if seconds == nil {
		return time.Time{}
	}
	return time.Unix(int64(math.Max(1, math.Min(*seconds, last))), 0)
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

func containsAll(have, want []string) bool {
	return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(have, w) })
}
