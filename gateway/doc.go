// Package gateway runs a chain in front of any gRPC service: a sidecar, in
// process or as the hauberk command.
//
//	g, err := gateway.New(gateway.Config{Upstream: "127.0.0.1:50051", Chain: chain})
//	…
//	err = g.Serve(lis)
//
// A call of any method passes the chain and goes on to the upstream, as a stream
// of messages whose types the gateway does not know and does not look at. The
// upstream answers for everything: unknown methods, malformed messages, the wrong
// number of them.
//
// # What passes
//
// Messages pass as they are, one by one, as fast as the slower end takes them.
// Metadata passes in both directions, duplicates and binary values included, and
// so do the response header as soon as the upstream sends it, the half-close, the
// cancellation and the deadline of the client, and the status that the upstream
// ends a call with: code, message, trailer, and the details byte for byte unless
// the chain changed the status.
//
// # What does not pass
//
//   - Metadata that belongs to one connection or to the protocol: names that begin
//     with ":" or "grpc-" (grpc-trace-bin and grpc-tags-bin pass, and from the
//     upstream grpc-retry-pushback-ms and grpc-server-stats-bin), content-type, te,
//     user-agent, host, connection and its like. The upstream sees the gateway's
//     user-agent, and its own address as the authority.
//   - Values that gRPC cannot carry: other than printable ASCII under a name
//     without "-bin".
//   - Compression, which is each connection's own. A compressed request is
//     decompressed and compressed again with the same compressor, gzip being the
//     one that is known. A response is compressed towards the client if, and as,
//     its request was, whatever the upstream does. Other compressors are rejected
//     with UNIMPLEMENTED.
//
// A call ends a little before its deadline, by a tenth of its time and at most
// 10 ms, so that the client is told DEADLINE_EXCEEDED before it gives up.
//
// # What interceptors see
//
// All calls are of kind [hauberk.Bidi], since the kind of a method is not known,
// and hooks see a [*Message]. [hauberk.Method.Known] is false for a method until
// the upstream has answered a call of it with a message or with OK, and so becomes
// true for the methods that a service has and not for what callers make up. The
// gateway remembers the first 1000.
package gateway
