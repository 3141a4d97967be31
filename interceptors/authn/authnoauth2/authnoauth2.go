package authnoauth2

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/internal/endpoint"
)

// Sentinels that errors.Is finds in errors of both sources.
var (
	// ErrEndpoint is found if the token endpoint gave no token that can be sent.
	ErrEndpoint = errors.New("authnoauth2: the token endpoint gave no token")
	// ErrTokenType is found if the token is no bearer token. It comes with ErrEndpoint.
	ErrTokenType = errors.New("authnoauth2: the token is no bearer token")
)

// ClientCredentials is the source of this client's own token. Make it with [NewClientCredentials].
// Safe for concurrent use.
type ClientCredentials struct {
	*authn.Refresher

	err error
}

// NewClientCredentials returns a source for authn.NewClient. A token endpoint that cannot be
// reached, or answers with a status of 500 or more, ends calls without a token with UNAVAILABLE;
// one that rejects this client ends them with UNAUTHENTICATED. So does one whose token_type is not
// "Bearer", in any case: a client must not send a token as another type (RFC 6749, 7.1; RFC 8693,
// 2.2.1).
func NewClientCredentials(config Endpoint) *ClientCredentials {
	e := config.clone()
	bad := e.check()
	fetch := func(ctx context.Context) (authn.Token, error) {
		if bad != nil {
			return authn.Token{}, bad // no secret goes to a bad URL
		}
		return e.fetch(ctx, nil)
	}
	return &ClientCredentials{authn.NewRefresher(fetch, e.Refresh), bad}
}

// Err returns what is wrong with the settings, or nil.
func (c *ClientCredentials) Err() error {
	if c.Refresher == nil {
		return errors.New("authnoauth2: ClientCredentials has no settings; make it with NewClientCredentials")
	}
	return errors.Join(c.err, named(c.Refresher.Err()))
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
		errs = append(errs, errors.New("Endpoint.ClientID is empty; want the name of this client at the server"))
	}
	for _, key := range reserved {
		if _, ok := e.Params[key]; ok {
			errs = append(errs, fmt.Errorf("Endpoint.Params has %q, for which there is a field", key))
		}
	}
	return named(errs...)
}

// named joins errors of settings under the name of the package.
func named(errs ...error) (all error) {
	for _, err := range errs {
		if err != nil {
			all = errors.Join(all, fmt.Errorf("authnoauth2: %w", err))
		}
	}
	return all
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
	if !strings.EqualFold(token.TokenType, "Bearer") { // DPoP, mac; N_A is no access token
		return authn.Token{}, &outcomeError{
			status.New(codes.Unauthenticated, "No token"),
			fmt.Errorf("%w: %w: token_type is %.32q", ErrEndpoint, ErrTokenType, token.TokenType),
		}
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
