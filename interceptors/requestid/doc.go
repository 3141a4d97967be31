// Package requestid gives every call an id by which its traces in logs, on
// both ends and in further calls, are found again.
//
// On a server the id is the one that the caller sent, if that was exactly one
// well-formed value ([Valid]), and otherwise a new one. It is put into the
// call's state ([Key], [FromContext]) and into the response header, or the
// trailer of a call that fails before its header was sent. On a client the id is
// the one that the application put into the outgoing metadata, if that is exactly
// one well-formed value, else that of the incoming call in whose handler the call
// is made, else a new one. It is sent as the only value of its metadata key.
//
// The interceptor stands outermost, or right inside package decisiontrace where
// that is in the chain: what stands inside finds the id in the state. On a client it
// also stands outside retries, so that the attempts of a call share its id.
package requestid
