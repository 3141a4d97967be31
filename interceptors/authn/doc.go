// Package authn authenticates callers on servers, and sends credentials on clients.
//
// On a server, [New] tries one or more methods in their order, before the request is read. The
// first [Method] that finds its credential decides, and a failing one never turns into another's
// success. A method may leave its credential, such as a token, to later methods of the same
// credential. [Bearer] is the method of bearer tokens (RFC 6750) with a [Validator] of the program.
// The [Identity] becomes state of the call ([Key], [User], [FromContext]). A call without a valid
// credential is rejected. Calls of the methods in [hauberk.Config.Public] pass: their credentials
// are not checked.
//
// On a client, [NewClient] gets a token from a [TokenSource] for each call that reaches it, and
// sends it, unless the caller has set the metadata key "authorization": there is never a second
// value. Inside a retry each attempt gets a token. A call that the server rejects is repeated with a new
// token only if the answer proves that no handler ran ([Unprocessed]).
//
// Tokens are never in errors, statuses or decisions.
package authn
