// Package requestid gives every call an id, which connects the logs of client, server and
// further calls.
//
// On a server the id is the one that the caller sent, if that was exactly one well-formed
// value ([Valid]), and otherwise a new one. The interceptor puts it into the call's state
// ([Key], [FromContext]) and into the response header. A call that fails before its
// header is sent carries the id in the trailer, so that its response stays Trailers-Only.
// The id is added to what the handler sets: a proxy that copies the header of its backend must
// leave out the key, or else its clients receive two ids.
//
// On a client the id is the first of these that exists:
//
//   - the id in the outgoing metadata, if that is exactly one well-formed value,
//   - the id of the incoming call in whose handler the call is made,
//   - a new id.
//
// The interceptor sends it as the only value of its metadata key.
//
// The interceptor runs outermost, or directly inside package decisiontrace: inner
// interceptors find the id in the state. On a client it also runs outside retries, so that
// the attempts of a call share its id.
package requestid
