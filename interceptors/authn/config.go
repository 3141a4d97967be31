package authn

import "time"

// Config holds the settings of [New]. The zero value is ready for use. The clock is that of package time;
// in tests that of testing/synctest.
type Config struct {
	// ExpireUnary ends unary calls, too, when their credential expires or is revoked. Without
	// it a unary call that began with a valid credential finishes; streams always end. It costs
	// each call with a credential that expires a timer.
	ExpireUnary bool
	// Grace is how long a stream goes on after its credential has expired, such as for clients
	// that renew their token only when they open the next stream. The default, 0, ends it at
	// once. It does not admit new calls, and does not hold for revoked credentials.
	Grace time.Duration
}

// ClientConfig holds the settings of [NewClient]. The zero value is ready for use.
type ClientConfig struct {
	// AllowClearText sends tokens on connections without transport security, too, such as
	// within a host or to a proxy that encrypts. The default rejects a call on such a connection
	// with UNAUTHENTICATED, before anything is sent.
	//
	// Set it also for connections that are not grpc-go's and do not know per-RPC credentials.
	AllowClearText bool
	// TrustUnauthenticated repeats a call with a new token after any UNAUTHENTICATED, also without
	// the trailer [Unprocessed]. Set it only for servers, not of this package, that authenticate
	// each call before its handler and whose handlers never return UNAUTHENTICATED. Otherwise a
	// handler can run twice for a call. The default repeats only calls that no handler has seen, and
	// calls of methods that are idempotent ([hauberk.Method.Idempotent]). With other servers the calls
	// of other methods have the next token once it has arrived.
	TrustUnauthenticated bool
}
