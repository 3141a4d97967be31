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
	// SubjectMembers are the members of the answer that name the subject: the first that is not
	// empty counts. The default is "sub". Add "client_id" or "username" only if the authorization
	// server keeps those names apart from its subjects: otherwise a client that registers as "alice"
	// becomes the user "alice" (RFC 9068, 5).
	SubjectMembers []string
	// KeepActive is how long an active token is accepted without another request, at most
	// until its "exp". The default, 0, is one minute. A negative value asks for each call.
	KeepActive time.Duration
	// KeepInactive is how long an inactive token is rejected without another request. The
	// default, 0, is 10 seconds. A negative value asks for each call.
	KeepInactive time.Duration
	// Recheck is how often the endpoint is asked again for a token that has open streams: one request
	// for all streams of the token. If the token is not active any more, they end with
	// UNAUTHENTICATED, "Token revoked". They go on if the endpoint fails. The default, 0, is
	// KeepActive, or one minute if that is negative. A negative value never asks again. Unary calls
	// do not end that way, also with authn's ExpireUnary.
	Recheck time.Duration
	// MaxTokens is how many active tokens are kept with their answers, and how many others. These displace
	// no active ones. The default, 0, is 10,000.
	MaxTokens int
	// MaxTokenBytes is the size of the largest token that is sent to the endpoint. Larger ones are
	// rejected. The default, 0, is 16 KiB.
	MaxTokenBytes int
	// MaxRequests is how many requests for tokens of calls are in flight at most, since untrusted
	// callers cause them. Other calls whose token is not kept end with UNAVAILABLE and
	// [ReasonBusy]. Those of Recheck do not count. The default, 0, is 64.
	MaxRequests int
	// Timeout of a request. The default, 0, is 5 seconds.
	Timeout time.Duration
	// Client makes the requests. The default is a client of this package. In each case
	// redirects are not followed, since the request has a token. The contexts of its requests have none
	// of the values of a call's context.
	Client *http.Client
}
