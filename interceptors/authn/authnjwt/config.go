package authnjwt

import (
	"maps"
	"slices"
	"time"
)

// Config holds the settings of [New]. Issuer, Audiences and Algorithms are required, and exactly
// one source of keys: JWKSFile, JWKSURL, Discovery, SecretFile, or one of the options [WithKeys],
// [WithPublicKeys] and [WithSecrets].
//
// Settings name a claim by its name, such as "tid" or "https://issuer.example/roles", or by a path of
// names with dots, such as "realm_access.roles" for the member "roles" of the claim "realm_access".
// A claim whose name is the whole text wins. In a path a dot within a name is written \., and a backslash
// \\: "resource_access.my\.app.roles" for the client "my.app" of Keycloak.
type Config struct {
	// Issuer is the "iss" of the tokens, compared byte by byte. A token of another issuer is
	// left to the next method, also if its header would be rejected.
	Issuer string
	// IssuerAliases are other values of "iss" for the same issuer with the same keys, such as
	// "accounts.google.com" for "https://accounts.google.com". Identity.Issuer is Issuer for
	// all of them, and a revocation may name each. The default is none.
	IssuerAliases []string
	// Audiences are the names of this server. The "aud" of a token must have one of them.
	Audiences []string
	// AudienceClaim is a claim that must have one of Audiences in place of "aud", for an issuer whose tokens
	// have no "aud": "client_id" for the access tokens of Amazon Cognito. A token that has "aud", too, must
	// have one of Audiences in both (RFC 7519, 4.1.3). The default, "", requires "aud".
	AudienceClaim string
	// Algorithms are the allowed values of "alg": RS256, RS384, RS512, PS256, PS384, PS512, ES256,
	// ES384, ES512, EdDSA. HS256, HS384 and HS512 are allowed only with secrets, and secrets
	// only with them, so that a public key is never used as a secret.
	Algorithms []string

	// JWKSFile is a file with a JWK Set (RFC 7517). It is read by New, and again within a second
	// after its content has changed. Content that is not a JWK Set, or has keys of which none is
	// usable, is logged; the last good keys remain in force. A set without keys rejects every token.
	JWKSFile string
	// JWKSURL is the URL of a JWK Set. It is fetched with the first call.
	JWKSURL string
	// Discovery fetches the URL of the JWK Set from the issuer's OpenID configuration (OpenID
	// Connect Discovery 1.0), whose "issuer" must be Issuer.
	Discovery bool
	// SecretFile is a file with one secret for the HS algorithms. White space around it is not
	// part of it. It is read as JWKSFile is.
	SecretFile string
	// AllowHTTP allows URLs without TLS: for tests, and for servers on the same host. Who can
	// change the response of such a URL can sign tokens.
	AllowHTTP bool
	// Refresh says when and how keys are fetched.
	Refresh Refresh

	// Leeway is how much the clocks of the issuer and this server may differ, in the judgement
	// of "exp" and "nbf". The default is 0; at most 10 minutes.
	Leeway time.Duration
	// Type is the required "typ" of the header, such as "at+jwt" (RFC 9068), in any case and with or without
	// "application/". The default, "", allows every type. Set it if the issuer signs other
	// tokens with the same keys, such as ID tokens.
	Type string
	// RequiredClaims are the names of claims that must be present and not null, each with the
	// allowed values: of a claim that is a string, a number, a boolean, or an array with at least one
	// of them. Without values each value is allowed. Numbers are compared exactly; an allowed one is
	// written without an exponent and unneeded zeros, such as "9007199254740993" or "0.5".
	RequiredClaims map[string][]string
	// SubjectClaim is the claim that becomes Identity.Subject, a string that is not empty. The
	// default is "sub".
	SubjectClaim string
	// TenantClaim is the claim that becomes Identity.Tenant, a string. The default, "", is none.
	TenantClaim string
	// RolesClaim is the claim that becomes Identity.Roles, a string or an array of strings. The
	// default, "", is none. A token without the claim has no roles; it is logged at Debug
	// ([WithLogger]), and so is one without TenantClaim.
	RolesClaim string
	// RevocationsFile is a file of revoked tokens and subjects, as [ParseRevocations] reads it. It
	// has at most 64 MiB, and is read as JWKSFile is.
	RevocationsFile string

	// MaxTokenBytes is the largest size of a token. The default, 0, is 16 KiB. A larger one that
	// is by another issuer is left to the next method, up to four times this size.
	MaxTokenBytes int
	// CachedTokens is how many verified tokens are kept: as a rule of thumb, one for each caller.
	// The default, 0, is 8192; a negative number keeps none. A kept token takes about four
	// times its size.
	CachedTokens int
}

// Refresh holds the settings of keys from a URL. The zero value has the defaults.
type Refresh struct {
	// Interval is the time between two refreshes, if the response has no Cache-Control with
	// max-age. The default, 0, is 5 minutes.
	Interval time.Duration
	// MinInterval is the least time between the beginnings of two fetches, also of those for an
	// unknown "kid" or a signature by none of the keys, and after a failure. A longer Interval or
	// max-age is kept. The default, 0, is 30 seconds.
	//
	// While there are no keys, such as after a first fetch that failed, no token can be judged. Then
	// the time from a failure to the next fetch is about 1 second, and doubles with each failure
	// up to MinInterval.
	MinInterval time.Duration
	// MaxInterval limits what max-age asks for. The default, 0, is 1 hour, or Interval if that
	// is longer.
	MaxInterval time.Duration
	// MaxStale is how long keys are used after the last fetch that succeeded. The default, 0, is
	// 24 hours. It must not be below MaxInterval.
	MaxStale time.Duration
	// Timeout limits one fetch. The default, 0, is 5 seconds.
	Timeout time.Duration
	// MaxBytes limits the size of a response, and of JWKSFile and SecretFile. The default, 0, is
	// 1 MiB.
	MaxBytes int64
	// MaxKeys limits the number of keys in a JWK Set, also of JWKSFile. The default, 0, is 100.
	MaxKeys int
}

// withDefaults returns the settings with their defaults.
func (c Config) withDefaults() Config {
	c.Audiences, c.Algorithms = slices.Clone(c.Audiences), slices.Clone(c.Algorithms)
	c.IssuerAliases = slices.Clone(c.IssuerAliases)
	c.RequiredClaims = maps.Clone(c.RequiredClaims)
	c.SubjectClaim = or(c.SubjectClaim, "sub")
	c.MaxTokenBytes = or(c.MaxTokenBytes, 16<<10)
	c.CachedTokens = or(c.CachedTokens, 8192)
	c.Refresh = c.Refresh.withDefaults()
	return c
}

func (r Refresh) withDefaults() Refresh {
	r.Interval = or(r.Interval, 5*time.Minute)
	r.MinInterval = or(r.MinInterval, 30*time.Second)
	r.MaxInterval = or(r.MaxInterval, max(time.Hour, r.Interval, r.MinInterval))
	r.MaxStale = or(r.MaxStale, max(24*time.Hour, r.MaxInterval))
	r.Timeout = or(r.Timeout, 5*time.Second)
	r.MaxBytes = or(r.MaxBytes, 1<<20)
	r.MaxKeys = or(r.MaxKeys, 100)
	return r
}

// or returns value, or if it is the zero value the default.
func or[T comparable](value, byDefault T) T {
	var zero T
	if value == zero {
		return byDefault
	}
	return value
}
