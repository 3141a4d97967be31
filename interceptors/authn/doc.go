// Package authn authenticates callers on servers, and sends credentials on clients, with
// bearer tokens (RFC 6750) in the request metadata.
//
// On a server, [New] passes the token of each call to a [Validator], before the request is
// read, and stores the [Identity] in the state of the call ([Key], [User], [FromContext]). A
// call without a valid token is rejected. Calls of the methods in [hauberk.Config.Public] pass
// without a look at their token.
//
// On a client, [NewClient] gets a token from a [TokenSource] for each call that reaches it, and
// sends it, unless the caller has set the metadata key "authorization": there is never a second
// value. Inside a retry each attempt gets a token.
//
// Tokens are never in errors, statuses or decisions.
package authn
