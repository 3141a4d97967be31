package authnoauth2

import (
	"net/http"
	"net/url"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

// Endpoint is the token endpoint of an authorization server, and how this client authenticates
// there. TokenURL and ClientID are required.
type Endpoint struct {
	// TokenURL must be https, or http on a loopback address.
	TokenURL string
	// ClientID and ClientSecret authenticate this client, by HTTP Basic authentication.
	ClientID, ClientSecret string
	// InParams sends ClientID and ClientSecret as parameters of the request instead.
	InParams bool
	// Scopes are asked for. Without them the authorization server decides.
	Scopes []string
	// Params are further parameters, such as "audience" or "resource".
	Params url.Values
	// Client makes the requests. The default is a client of this package. In each case redirects
	// are not followed, since the request has a secret.
	Client *http.Client
	// Refresh says when a token is fetched, and for how long a request may take.
	Refresh authn.RefreshConfig
}

// ExchangeConfig holds the settings of [NewExchange]. Endpoint and Subject are required.
type ExchangeConfig struct {
	Endpoint

	// Subject is the source of the token that is exchanged. It runs for each call with the
	// context of the call, so that it can return the token of the incoming call.
	Subject authn.TokenSource
	// SubjectTokenType is the type of that token. The default is
	// "urn:ietf:params:oauth:token-type:access_token".
	SubjectTokenType string
	// MaxTokens is for how many subject tokens the exchanged ones are kept. The default, 0, is
	// 10,000.
	MaxTokens int
	// KeepFor is how long an exchanged token without an expiry is kept. The default, 0, is one
	// minute.
	KeepFor time.Duration
}
