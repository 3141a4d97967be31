// Package authnmtls authenticates callers by the certificates of their connections (mutual TLS):
// SPIFFE IDs (X.509-SVID) and DNS names.
//
// A certificate counts only if it was verified: by crypto/tls (RequireAndVerifyClientCert or
// VerifyClientCertIfGiven with ClientCAs), or by this package against [Config.Bundles], which
// servers need that use go-spiffe's own TLS settings. The name in the certificate decides which
// identity it proves; its common name is never looked at (RFC 9525).
//
// A call on a connection without a certificate passes to the next method.
package authnmtls
