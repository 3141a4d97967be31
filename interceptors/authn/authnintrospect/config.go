package authnintrospect

import (
	"net/http"
	"time"
)

// Config holds the settings of [New]. Endpoint is required.
type Config struct {
	// Endpoint is the URL of the introspection endpoint. It must be https, or http on a
	// loopback address.
	Endpoint string
	// ClientID and ClientSecret authenticate this server at the endpoint, by HTTP Basic
	// authentication (RFC 6749, 2.3.1). Header is the other way.
	ClientID, ClientSecret string
	// Header is sent with each request, such as an Authorization with a bearer token.
	Header http.Header
	// Issuer is the "iss" that answers must have. "" accepts each, and one without.
	Issuer string
	// Audiences are the "aud" of which an answer must have one. Without it a token for another
	// service is accepted: set it, unless the authorization server checks the audience itself.
	Audiences []string
	// Scopes must all be in the "scope" of the answer.
	Scopes []string
	// KeepActive is how long an active token is accepted without another request, at most
	// until its "exp". The default, 0, is one minute. A negative value asks for each call.
	KeepActive time.Duration
	// KeepInactive is how long an inactive token is rejected without another request. The
	// default, 0, is 10 seconds. A negative value asks for each call.
	KeepInactive time.Duration
	// MaxTokens is how many answers are kept. The default, 0, is 10,000.
	MaxTokens int
	// Timeout of a request. The default, 0, is 5 seconds.
	Timeout time.Duration
	// Client makes the requests. The default is a client of this package. In each case
	// redirects are not followed, since the request has a token.
	Client *http.Client
}
