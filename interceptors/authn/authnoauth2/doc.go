// Package authnoauth2 gets the tokens that clients send, with OAuth 2.0: the client credentials
// grant (RFC 6749, 4.4) for a service's own calls, and token exchange (RFC 8693) for calls on behalf
// of a caller.
//
// Both are sources for authn.NewClient. Each token is fetched when a call needs it, and again
// before it expires, with one request in flight. The requests are those of golang.org/x/oauth2.
package authnoauth2
