// Package authzext asks an external service whether calls on a server are authorized, by Envoy's
// ext_authz protocol: the method Check of envoy.service.auth.v3.Authorization.
//
//	conn, err := grpc.NewClient("dns:///authz:9000", grpc.WithTransportCredentials(creds))
//	chain, err := hauberk.New(
//		authn.New(authn.Config{}, authn.Bearer(validate)),
//		authzext.New(authzext.Config{
//			Conn:       conn,
//			Identity:   "hauberk.identity",
//			OwnHeaders: []string{"x-user"},
//		}),
//	)
//
// The service is asked once for each call of any kind, when the call begins and before its handler
// starts. Calls of methods that the server does not have are checked too. Those of methods in
// [hauberk.Config.Public] pass without a check.
//
// # Answers
//
// A status other than OK denies the call, even if the rest of the answer is invalid. The status code is that
// of the HTTP status in the denied_response, by gRPC's http-grpc-status-mapping.md, as in Envoy: 401
// is UNAUTHENTICATED, 403 or none PERMISSION_DENIED, 400 INTERNAL, 404 UNIMPLEMENTED, 429, 502, 503 and
// 504 UNAVAILABLE, and all others UNKNOWN. The reason is [ReasonDenied] for all. The message is a fixed
// text, or the body with [Config.SendBody]. The headers become trailer metadata; those that are
// reserved, not legal or beyond 2 KiB are left out.
//
// The status OK allows the call. The headers of the ok_response change the metadata that inner
// interceptors and the handler see, in their order; then headers_to_remove are removed. A header
// without append and append_action replaces what the client sent. response_headers_to_add are set
// in the response header. In all of them binary values are in base64. dynamic_metadata, of a
// denial too, is in the state of the call, under [DynamicMetadata].
//
// These answers are invalid. They never admit a call:
//
//   - one without a status and without an ok_response;
//   - one with the status OK and a denied_response or an error_response;
//   - one with a status code that gRPC does not have;
//   - one that allows the call and sets a header that is reserved (grpc-*, content-type, host, te,
//     user-agent, names with a colon, and so on) or not legal, or a query parameter;
//   - one of more than [MaxAnswer] bytes.
//
// # Failures
//
// If there is no valid answer, the call ends with [Config.ErrorCode] and [ReasonUnavailable]. With
// [Config.FailOpen] calls are admitted if the service cannot be reached, does not answer in time,
// or reports an error by an error_response. A call that ends before the answer ends with
// its own status, and its check is cancelled.
//
// # The check
//
// These attributes are sent; text that is not UTF-8 has "!" in place of the invalid bytes:
//
//   - source: the client's address by [hauberk.Call.ClientAddr]; its port if it is the peer; the name
//     in its certificate, if crypto/tls verified that: the first URI SAN, DNS SAN or the subject;
//   - destination: the local address of the connection;
//   - request.time, the time of the check;
//   - request.http: method POST, path "/pkg.Service/Method", host, scheme, protocol HTTP/2, size (-1, or
//     that of the body), headers ([Config.Headers]), id (the header x-request-id, if it is sent), and
//     raw_body with [Config.Body]. Values of one key are joined by commas, binary ones in base64
//     without padding;
//   - context_extensions and metadata_context, by configuration.
//
// # The cache
//
// With [Config.CacheFor] an answer is used again for checks in which everything that is sent is
// equal, except for request.time. The source then has no port. Concurrent calls with equal checks
// share one request, which ends early when none of them waits any more. So list [Config.Headers]:
// a header that differs in each call, such as x-request-id or traceparent, makes each check
// different. Failures and denials with UNAVAILABLE are not kept, nor are answers about methods
// that the server does not have. A permission that the service withdraws remains in force for at
// most CacheFor.
//
// Without a cache, the context of the check has the values of the call's context, so that
// interceptors of [Config.Conn] can continue its trace. With one it has none, because a shared
// check belongs to no call.
//
// # Differences from Envoy
//
// Compared with Envoy 1.40 behind its HTTP filter:
//
//   - An empty answer, and a denied_response without a status or with the status OK, are invalid;
//     Envoy admits the call. So are status codes that gRPC does not have; Envoy denies the call.
//   - Calls that could not be checked end with UNAVAILABLE by default; in Envoy with
//     PERMISSION_DENIED (status_on_error).
//   - FailOpen (failure_mode_allow) does not admit calls for which the check ended with a status
//     other than UNAVAILABLE and DEADLINE_EXCEEDED.
//   - Clients receive a fixed message by default; in Envoy the body.
//   - The append_action of a header is respected; Envoy 1.40 replaces the values of a request header
//     unless append is true. With append the value is a separate one; Envoy joins it to the first.
//     With append a key that has no value yet is added, and an empty value too; Envoy leaves these out.
//   - raw_value is used; Envoy ignores it.
//   - Reserved names cannot be set or removed. In Envoy a denied_response with the header grpc-status "0" ends the
//     call with OK.
//   - response_headers_to_add cannot replace what the handler sets.
//   - The body has the first message, in its framing but never compressed, before the handler starts;
//     Envoy buffers the stream as it arrives.
//   - Not sent: te, grpc-timeout and x-forwarded-proto, which are not in the metadata of a server of
//     grpc-go; destination.principal, certificate, tls_session and route_metadata_context. size is
//     -1 without a body, where Envoy sends 0.
package authzext
