// Package authn tells servers who calls, and has clients say who they are, by
// bearer tokens (RFC 6750) in the request metadata.
//
// On a server [New] asks a [Validator] about the token of each call, before the
// request is read, and puts the [Identity] into the call's state ([Key], [User],
// [FromContext]). A call without a good token is rejected: nothing further in runs.
// How rejections look, and which errors a Validator returns, is said there.
//
// On a client [NewClient] asks a [TokenSource] for a token each time that a call
// reaches it, and sends it, unless the caller has set the metadata key
// "authorization" itself: there is never a second value. Inside a retry each
// attempt gets a token of its own.
//
// Tokens never stand in errors, statuses or decisions.
package authn
