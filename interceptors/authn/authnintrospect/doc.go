// Package authnintrospect validates opaque bearer tokens at the authorization server that issued
// them (OAuth 2.0 Token Introspection, RFC 7662).
//
// Each token is asked for once, and its answer kept for a while: a revoked token is accepted for at
// most [Config.KeepActive]. Streams that are open then end within [Config.Recheck]. Calls with the
// same token share one request. If the authorization server fails, calls whose token is not kept
// end with UNAVAILABLE, and open streams go on.
//
// Callers without a credential cause requests: [Config.MaxRequests] bounds those in flight.
//
// The method judges every bearer token. Put it after the other methods of bearer tokens: hauberk.New
// reports those that come after it, since they would never run.
package authnintrospect
