package authn

import "time"

// Config holds the settings of [New]. The zero value is ready for use.
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
	// RequireTransportSecurity rejects calls on connections without transport security,
	// with grpc-go's UNAUTHENTICATED, before anything is sent. Set it wherever the client
	// itself uses TLS. The default allows tokens in clear text, since connections within a
	// host, or to a proxy that encrypts, are common.
	//
	// It holds whatever credentials the caller and inner interceptors add. The token is not
	// in the metadata that inner interceptors see: credentials of the call carry it. If an
	// interceptor of grpc-go that the connection runs inside the chain replaces them, the
	// token is not sent, but an authorization in the caller's metadata is.
	RequireTransportSecurity bool
}
