// Package callkey says which calls belong together: whose quota a call takes from, or whose limit
// it counts for. The interceptors that limit calls take a [Key]:
//
//	ratelimit.New(ratelimit.Config{Limit: 100, Per: time.Minute, By: callkey.User()})
//	concurrency.New(concurrency.Config{Limit: 10, By: callkey.All(callkey.Tenant(), callkey.Method())})
//
// # How to choose a key
//
//   - [Peer] and [Network] bound what one host can do. They need no authentication: place the limit
//     outside of it. Behind a proxy they need [hauberk.Config.TrustedProxies].
//   - [User] and [Tenant] are fair between callers. Place the limit inside authentication.
//   - [Method] protects a resource that all callers share, such as a slow report.
//   - [Global] protects the process, or a service that a client calls.
//   - [Metadata] is for values that a trusted proxy writes. Clients can write any metadata: one
//     that invents values has a quota for each of them.
//   - callexpr.Key evaluates an expression in CEL, such as a choice by role or a claim of a token.
//
// # Calls without the key
//
// A call may lack a key: one without authentication has no user. Interceptors count it by its
// peer, separate from the calls that have the key, so that it shares a quota neither with all
// other such calls nor with a user whose name looks like an address. An empty value is none.
//
// # Collisions
//
// Different values are different keys, with any content. [All] joins its parts with their
// lengths, and [User] the issuer and the subject, so that "a:b" with "c" differs from "a" with
// "b:c".
package callkey
