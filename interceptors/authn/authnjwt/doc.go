// Package authnjwt is the method of package authn for JSON Web Tokens (RFC 7519) that are signed
// by one issuer.
//
// [New] makes a [Validator], which is an authn.Method. A call needs exactly one bearer token. The
// token is a JWS in compact serialization; its algorithm is one of Config.Algorithms, its key is
// one of the issuer's, and its claims are judged as RFC 7519 and RFC 8725 say. Encrypted and
// nested tokens, critical headers and duplicate members are rejected. Keys that a token carries
// or refers to ("jwk", "jku", "x5c", "x5u") are never used and never fetched. A token whose "jwk"
// or "x5c" cannot be parsed is rejected.
//
// # Keys
//
// Keys are given by the program, read from a file that is watched, or fetched from a URL or from
// the issuer's OpenID configuration. Fetched keys are refreshed in the background by one request
// at a time. Calls never wait for a refresh, except the first ones, and a few of those whose token
// is signed by none of the fetched keys: an issuer may rotate its keys at any time, with new "kid"s,
// the same ones, or none. If refreshes fail, the last good keys are used until
// Refresh.MaxStale has passed; then calls end with UNAVAILABLE.
//
// # Cache and revocation
//
// Verified tokens are kept, so that a token is verified once. A kept token is verified again when
// its key is no longer among the keys of the issuer, and rejected when it expires or is revoked
// ([Revocations]). A revocation ends open streams at once.
//
// # What a rejection shows
//
// A client receives "Invalid token" and INVALID_TOKEN, and not what is wrong with its token. Only the
// holder of an authentic token learns more: "Token expired", or "Token revoked". The error has
// the cause for logs, such as [ErrAudience], and never the token.
//
// # Lifetime
//
// A Validator with a file has a goroutine from New to [Validator.Close]; one that fetches keys
// has a timer from the first call to Close, and a goroutine during each fetch. Others have
// neither, and need no Close.
package authnjwt
