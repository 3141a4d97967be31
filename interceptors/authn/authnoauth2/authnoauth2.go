package authnoauth2

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/internal/endpoint"
)

// ErrEndpoint is found, by errors.Is, if the token endpoint gave no token.
var ErrEndpoint = errors.New("authnoauth2: the token endpoint gave no token")

// ClientCredentials is the source of this client's own token. Make it with [NewClientCredentials].
// Safe for concurrent use.
type ClientCredentials struct {
	*authn.Refresher

	err error
}

// NewClientCredentials returns a source for authn.NewClient. A token endpoint that cannot be
// reached, or answers with a status of 500 or more, ends calls without a token with UNAVAILABLE;
// one that rejects this client ends them with UNAUTHENTICATED.
func NewClientCredentials(config Endpoint) *ClientCredentials {
	e := config.clone()
	fetch := func(ctx context.Context) (authn.Token, error) { return e.fetch(ctx, nil) }
	return &ClientCredentials{authn.NewRefresher(fetch, e.Refresh), e.check()}
}

// Err returns what is wrong with the settings, or nil.
func (c *ClientCredentials) Err() error {
	if c.Refresher == nil {
		return errors.New("ClientCredentials has no settings; make it with authnoauth2.NewClientCredentials")
	}
	return errors.Join(c.err, c.Refresher.Err())
}

// clone returns a copy that the program cannot change.
func (e Endpoint) clone() Endpoint {
	params := make(url.Values, len(e.Params))
	for key, values := range e.Params {
		params[key] = append([]string(nil), values...)
	}
	e.Params, e.Scopes = params, append([]string(nil), e.Scopes...)
	e.Client = endpoint.Client(e.Client)
	return e
}

// reserved are the parameters that this package sets.
var reserved = []string{ //nolint:gochecknoglobals // never written
	"grant_type", "scope", "client_id", "client_secret", "subject_token", "subject_token_type",
}

// check returns what is wrong with an endpoint, or nil.
func (e Endpoint) check() error {
	errs := []error{endpoint.Check("Endpoint.TokenURL", e.TokenURL, "token")}
	if e.ClientID == "" {
		errs = append(errs, errors.New("ClientID is empty; want the name of this client at the authorization server"))
	}
	for _, key := range reserved {
		if _, ok := e.Params[key]; ok {
			errs = append(errs, fmt.Errorf("Endpoint.Params has %q, for which there is a field", key))
		}
	}
	return errors.Join(errs...)
}

// fetch requests a token with further parameters.
func (e Endpoint) fetch(ctx context.Context, params url.Values) (authn.Token, error) {
	all := maps.Clone(e.Params)
	maps.Copy(all, params)
	style := oauth2.AuthStyleInHeader
	if e.InParams {
		style = oauth2.AuthStyleInParams
	}
	config := clientcredentials.Config{
		ClientID: e.ClientID, ClientSecret: e.ClientSecret, TokenURL: e.TokenURL,
		Scopes: e.Scopes, EndpointParams: all, AuthStyle: style,
	}
	token, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, e.Client))
	if err != nil {
		return authn.Token{}, failure(err)
	}
	return authn.Token{Value: token.AccessToken, Expires: token.Expiry}, nil
}

// failure returns the outcome of a call without a token. The text has the code of RFC 6749, 5.2,
// and not the body of the response.
func failure(err error) error {
	response, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok || response.Response == nil {
		return &outcomeError{status.New(codes.Unavailable, "No token"), fmt.Errorf("%w: %w", ErrEndpoint, err)}
	}
	code, httpStatus := codes.Unavailable, response.Response.StatusCode
	if httpStatus/100 == 4 && httpStatus != http.StatusTooManyRequests {
		code = codes.Unauthenticated
	}
	return &outcomeError{
		status.New(code, "No token"),
		fmt.Errorf("%w: HTTP status %d, %q", ErrEndpoint, httpStatus, response.ErrorCode),
	}
}

// outcomeError is an error with a status, whose cause stays in this process.
type outcomeError struct {
	status *status.Status
	cause  error
}

func (o *outcomeError) Error() string              { return o.cause.Error() }
func (o *outcomeError) Unwrap() error              { return o.cause }
func (o *outcomeError) GRPCStatus() *status.Status { return o.status }
