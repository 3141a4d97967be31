// Package upstreams decides which address of an upstream a call uses, and which connections
// are to be made. It does no I/O, reads no clock and starts no goroutine: its owner does.
//
// # States
//
// Each address is an [Endpoint]:
//
//	       Pick, More               Connected
//	idle ─────────────> connecting ───────────> connected
//	  ^                     │ Failed               │ Lost, the last connection
//	  │<──the delay ends── backoff <───────────────┤ at once for the second time
//	  └────────────────────────────────────────────┘ otherwise
//
// A connected endpoint has a health: unknown, serving or not serving (SetHealth). Without
// health checks it is serving. In addition, an endpoint is ejected for some time after
// consecutive transport errors (Outcome). An endpoint is usable if it is connected and serving
// and not ejected.
//
// # Locks
//
// A Set has no lock: its owner holds one during each call.
//
// # Policies
//
// [PickFirst] uses one endpoint as long as it is usable. If there is none, the endpoints are
// tried in order. The next one is tried when an attempt fails or takes more than 250 ms (RFC
// 8305, gRFC A61), and the first connection wins. [RoundRobin] connects to all endpoints, and
// uses the usable ones in turn.
//
// # Backoff
//
// Delays are those of gRPC (https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md):
// they grow by 1.6 with each failure, and have a jitter of 20 %. A connection that lasts resets
// them.
package upstreams
