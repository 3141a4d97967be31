// Package admin serves the admin listener of the sidecar: the policy in force, recent rejections, reloads, and
// profiles of the process.
//
//   - GET /healthz answers 200, to everyone.
//   - GET /config has the policy in force.
//   - GET /calls has the last 256 calls that an interceptor has rejected, newest first, with the decisions.
//   - POST /reload reads the policy file.
//   - GET /debug/pprof/ has the profiles of package net/http/pprof.
//
// Answers are JSON, except profiles. They have no secrets: values of references and passwords are hidden.
//
// A request is checked in this order, and rejected at the first check that fails:
//
//   - Host must be an IP address, localhost, the host of --admin, or a name in the certificate of the listener. Other
//     names may be those of a web site that resolves its name to this address (DNS rebinding). The status is 403.
//   - A browser must send it from the same origin, unless the method is GET or HEAD ([http.CrossOriginProtection]).
//     The status is 403.
//   - Authorization must be "Bearer TOKEN", once, if there is a token. The status is 401. Without a token the listener
//     is on a loopback address, and /reload and profiles are not served: the status is 403.
package admin
