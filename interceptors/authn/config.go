package authn

import "time"

// Config holds the settings of [New]. The zero value validates the token of every call.
type Config struct {
	// CachedTokens is how many accepted tokens are kept, so that the validator does not run
	// for each call: as a rule of thumb, one for each caller. 0 keeps none. Rejected tokens
	// are not kept. A kept token is accepted until it expires, even if it is revoked
	// meanwhile: see CacheFor. Callers that send many different tokens displace each other's,
	// not those in use.
	CachedTokens int
	// CacheFor is how long a token is kept at most. 0 keeps it until Identity.Expires, and
	// does not keep those without.
	CacheFor time.Duration
	// ExpireUnary ends unary calls, too, when their token expires. Without it a unary call
	// that began with a valid token finishes; streams always end. It costs each call with a
	// token that expires a timer.
	ExpireUnary bool
}

// ClientConfig holds the settings of [NewClient]. The zero value is ready for use.
type ClientConfig struct {
	// RequireTransportSecurity rejects calls on connections without transport security,
	// with grpc-go's UNAUTHENTICATED, before anything is sent. Set it wherever the client
	// itself uses TLS. The default allows tokens in clear text, since connections within a
	// host, or to a proxy that encrypts, are common.
	RequireTransportSecurity bool
}
